// Parses a request to the broker: the route, the JSON body within its limit, and the session token.
import * as v from 'valibot'
import { BrokerError } from './errors.ts'

/** What the broker reads of a request. A Request of the Fetch standard is one. */
export interface BrokerRequest {
  readonly method: string
  readonly url: string
  readonly headers: { get(name: string): string | null }
  readonly body: AsyncIterable<Uint8Array> | null
}

export const ROUTES = {
  '/api/auth/code': 'code',
  '/api/auth/token': 'token',
  '/api/auth/refresh': 'refresh',
  '/api/auth/logout': 'logout',
} as const

export type Route = (typeof ROUTES)[keyof typeof ROUTES]

const MAX_BODY_BYTES = 16 * 1024
const MAX_TOKEN_LENGTH = 8 * 1024
const BEARER = /^Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i // no white space and nothing but ASCII

/** @throws BrokerError not_found */
export function routeOf(request: BrokerRequest): Route {
  const { pathname } = new URL(request.url)
  const route = Object.entries(ROUTES).find(([path]) => path === pathname)?.[1]
  if (!route) throw new BrokerError('not_found')
  return route
}

/** Whether the request asks which Clerk instances the broker serves: no secret, so that a client can check its settings. */
export function isInstancesRequest({ method, url }: BrokerRequest): boolean {
  return method === 'GET' && new URL(url).pathname === '/api/auth/instances'
}

/** Whether the request, of any method, is for the endpoint that a page calls. */
export function isCodeRequest({ url }: BrokerRequest): boolean {
  return new URL(url).pathname === pathOf('code')
}

export function pathOf(route: Route): string {
  return Object.entries(ROUTES).find(([, name]) => name === route)?.[0] ?? ''
}

/** @throws BrokerError unsupported_media_type, payload_too_large, invalid_request */
export async function readBody(request: BrokerRequest): Promise<unknown> {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') throw new BrokerError('unsupported_media_type')
  return parseJson(await readBytes(request))
}

/** @throws BrokerError invalid_request */
export function parseBody<T>(schema: v.GenericSchema<unknown, T>, body: unknown): T {
  const { success, output } = v.safeParse(schema, body, { abortEarly: true })
  if (!success) throw new BrokerError('invalid_request')
  return output
}

/** The session token in the header Authorization. @throws BrokerError invalid_request */
export function bearerTokenOf(request: BrokerRequest): string {
  const [, token] = BEARER.exec(request.headers.get('authorization') ?? '') ?? []
  if (token === undefined || token.length > MAX_TOKEN_LENGTH) throw new BrokerError('invalid_request')
  return token
}

async function readBytes(request: BrokerRequest): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of request.body ?? []) {
      size += chunk.length
      if (size > MAX_BODY_BYTES) throw new BrokerError('payload_too_large')
      chunks.push(chunk)
    }
  } catch (error) {
    // A client that disconnects early is not a failure of the broker.
    throw error instanceof BrokerError ? error : new BrokerError('invalid_request', 'request_aborted')
  }
  return Buffer.concat(chunks)
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new BrokerError('invalid_request')
  }
}
