// The OpenAPI document of the broker, generated from the schemas that check the requests.
import { toJsonSchema } from '@valibot/to-json-schema'
import type { GenericSchema } from 'valibot'
import {
  codeAnswer,
  codeRequest,
  errorAnswer,
  instancesAnswer,
  logoutAnswer,
  refreshAnswer,
  refreshRequest,
  sessionRequest,
  tokenAnswer,
  tokenRequest,
} from './schemas.ts'

/** Every answer but 200: the status, and when it is given. */
const REFUSALS = {
  400: 'the request is malformed, the session has ended (`invalid_grant`), or the DPoP proof is wrong or needs a nonce',
  404: 'the path is unknown',
  405: 'the method is not POST',
  413: 'the body is too large',
  415: 'the body is not JSON',
  429: 'too many requests of this user or address, or at Clerk; the session is kept',
  500: 'the operator must act; the session is kept',
  502: 'the answer of Clerk is invalid; the session is kept',
  503: 'Clerk, the broker or its store is unavailable, or this copy lacks the key of the token; the session is kept',
} as const

interface Described {
  readonly operationId: string
  readonly summary: string
  readonly body: GenericSchema | readonly GenericSchema[]
  readonly answer: GenericSchema
  readonly security?: readonly object[]
  readonly refusals?: Readonly<Record<number, string>>
}

const DPOP = { dpop: [] }
const BEARER = { sessionToken: [] }

const POSTS: Readonly<Record<string, Described>> = {
  '/api/auth/code': {
    operationId: 'issueCode',
    summary: 'The page exchanges its session token for an authorization code.',
    body: codeRequest,
    answer: codeAnswer,
    security: [BEARER],
    refusals: { 403: 'the origin is not allowed' },
  },
  '/api/auth/token': {
    operationId: 'exchangeCode',
    summary: 'The daemon exchanges the code for tokens, bound to the key of its DPoP proof.',
    body: tokenRequest,
    answer: tokenAnswer,
    security: [DPOP],
  },
  '/api/auth/refresh': {
    operationId: 'refresh',
    summary: 'Exchanges a refresh token, or at first a session token in the header Authorization, for the next token.',
    body: [refreshRequest, sessionRequest],
    answer: refreshAnswer,
    security: [DPOP, { ...DPOP, ...BEARER }, {}], // the last: a token of version 1.0, which is bound now
  },
  '/api/auth/logout': {
    operationId: 'logout',
    summary: 'Revokes the Clerk session of a refresh token.',
    body: refreshRequest,
    answer: logoutAnswer,
    security: [DPOP, {}],
  },
}

/** @param version of the program */
export function openApiDocument(version: string): object {
  const posts = Object.entries(POSTS).map(([path, described]) => [path, { post: post(described) }])
  return {
    openapi: '3.1.0',
    info: {
      title: 'cadzero-auth broker',
      version,
      description: 'Exchanges a Clerk session for its next token. Only `invalid_grant` ends a session.',
      license: { name: 'Proprietary', identifier: 'LicenseRef-CADZERO' },
    },
    servers: [{ url: '/' }],
    security: [],
    paths: { ...Object.fromEntries(posts), ...gets() },
    components: {
      schemas: { Error: schemaOf(errorAnswer) },
      securitySchemes: {
        sessionToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'a Clerk session token' },
        dpop: { type: 'apiKey', in: 'header', name: 'DPoP', description: 'a DPoP proof (RFC 9449)' },
      },
    },
  }
}

function post({ operationId, summary, body, answer, security, refusals = {} }: Described): object {
  const schemas = [body].flat() as GenericSchema[]
  const schema = schemas.length === 1 ? schemaOf(schemas[0] as GenericSchema) : { oneOf: schemas.map(schemaOf) }
  return {
    operationId,
    summary,
    security,
    requestBody: { required: true, content: json(schema) },
    responses: {
      200: { description: 'done', content: json(schemaOf(answer)) },
      ...refused({ ...REFUSALS, ...refusals }),
    },
  }
}

function refused(refusals: Readonly<Record<number, string>>): object {
  const content = json({ $ref: '#/components/schemas/Error' })
  const entries = Object.entries(refusals).map(([status, description]) => [status, { description, content }])
  return Object.fromEntries(entries)
}

function gets(): object {
  const get = (operationId: string, summary: string, responses: object) => ({
    get: { operationId, summary, security: [], responses },
  })
  const text = (description: string) => ({ description, content: { 'text/plain': { schema: { type: 'string' } } } })
  const object = (description: string) => ({ description, content: json({ type: 'object' }) })
  return {
    '/api/auth/instances': get('listInstances', 'The Clerk instances whose sessions the broker takes.', {
      200: { description: 'their Frontend API URLs', content: json(schemaOf(instancesAnswer)) },
    }),
    '/livez': get('isAlive', 'Whether the process responds.', { 200: text('it does') }),
    '/readyz': get('isReady', 'Whether a load balancer may send requests; what is degraded does not change that.', {
      200: object('ready'),
      503: object('the keys are not loaded yet, or the broker is about to end'),
    }),
    '/openapi.json': get('describe', 'This document.', { 200: object('an OpenAPI document') }),
    '/metrics': get('measure', 'Metrics for Prometheus, on a port of their own or for this computer alone.', {
      200: text('in the text format of Prometheus'),
      404: object('not for this client'),
    }),
  }
}

function json(schema: object): object {
  return { 'application/json': { schema } }
}

function schemaOf(schema: GenericSchema): object {
  // A check that JSON Schema cannot express is left out: the document is a description, the schema decides.
  const { $schema: _, ...rest } = toJsonSchema(schema, { errorMode: 'ignore' })
  return rest
}
