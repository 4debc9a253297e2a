// Answers the requests to the broker: finds the route, checks the body, and turns every outcome into a response and a log line.
import type { Clock } from '../host/clock.ts'
import { allowOrigin, preflightResponse } from './cors.ts'
import type { DpopVerifier } from './dpop.ts'
import { BrokerError } from './errors.ts'
import type { Answered, Grants, Presented } from './grants.ts'
import type { Limits } from './limits.ts'
import type { BrokerLogFields } from './log-fields.ts'
import type { RequestContext } from './node-handler.ts'
import type { SessionReference } from './refresh-token.ts'
import {
  type BrokerRequest,
  bearerTokenOf,
  isInstancesRequest,
  parseBody,
  pathOf,
  type Route,
  readBody,
  routeOf,
} from './request.ts'
import { codeRequest, refreshRequest, sessionRequest, tokenRequest } from './schemas.ts'

export interface RequestHandlerOptions {
  readonly grants: Grants
  readonly proofs: DpopVerifier
  readonly limits: Limits
  readonly issuers: readonly string[]
  /** The origins of the pages. */
  readonly origins: readonly string[]
  readonly log: (fields: BrokerLogFields) => void
  readonly clock: Clock
}

const EVENTS = { code: 'code_issued', token: 'token_issued', refresh: 'refreshed', logout: 'logged_out' } as const
const NO_STORE = { 'Cache-Control': 'no-store' }

export class RequestHandler {
  readonly #options: RequestHandlerOptions

  constructor(options: RequestHandlerOptions) {
    this.#options = options
  }

  /** Never throws. */
  async handle(request: BrokerRequest, context: RequestContext = {}): Promise<Response> {
    if (isInstancesRequest(request)) return Response.json({ issuers: this.#options.issuers }, { headers: NO_STORE })
    const { clock, log, proofs } = this.#options
    const startedAt = clock.monotonic()
    const known: Partial<Pick<BrokerLogFields, 'route' | 'sessionId' | 'userId'>> = {}
    const report = (outcome: Pick<BrokerLogFields, 'event' | 'status' | 'reason'>) =>
      log({ ...outcome, ...known, ...context, ms: Math.round((clock.monotonic() - startedAt) * 1000) })
    try {
      const route = routeOf(request)
      Object.assign(known, { route })
      const preflight = route === 'code' ? preflightResponse(request, this.#options.origins) : undefined
      if (preflight) return preflight
      if (request.method !== 'POST') throw new BrokerError('method_not_allowed')
      await this.#takeFromLimit(context)
      const { body, hasNonce } = await this.#answer(route, request, {
        dpop: request.headers.get('dpop'),
        path: pathOf(route),
        onKnown: ({ sessionId, userId }: SessionReference) => Object.assign(known, { sessionId, userId }),
      })
      report({ event: EVENTS[route], status: 200 })
      const response = Response.json(body, { headers: NO_STORE })
      if (hasNonce) response.headers.set('DPoP-Nonce', proofs.nonce())
      return this.#readable(response, request, route)
    } catch (error) {
      const failure = error instanceof BrokerError ? error : new BrokerError('misconfigured', 'unexpected')
      const { status, reason, kind } = failure
      report({ event: status >= 500 ? 'failed' : 'refused', status, reason })
      const response = failure.toResponse()
      if (kind === 'use_dpop_nonce') response.headers.set('DPoP-Nonce', proofs.nonce())
      return this.#readable(response, request, known.route)
    }
  }

  async #answer(route: Route, request: BrokerRequest, presented: Presented): Promise<Answered<object>> {
    const { grants } = this.#options
    const body = await readBody(request)
    switch (route) {
      case 'code': {
        const parsed = parseBody(codeRequest, body)
        const origin = request.headers.get('origin')
        return { body: await grants.authorize(bearerTokenOf(request), parsed, origin, presented), hasNonce: false }
      }
      case 'token':
        return await grants.exchangeCode(parseBody(tokenRequest, body), presented)
      case 'logout':
        return await grants.logout(parseBody(refreshRequest, body).refresh_token, presented)
      case 'refresh': {
        if (hasRefreshToken(body)) return await grants.refresh(parseBody(refreshRequest, body).refresh_token, presented)
        const { session_id: sessionId } = parseBody(sessionRequest, body)
        return await grants.exchangeToken(bearerTokenOf(request), sessionId, presented)
      }
    }
  }

  async #takeFromLimit({ address }: RequestContext): Promise<void> {
    const waitSeconds = address === undefined ? 0 : await this.#options.limits.take('address', address)
    if (waitSeconds > 0) throw new BrokerError('too_many_requests', 'too_many_requests_of_address', waitSeconds)
  }

  /** Lets the page read the answer to its request for a code, errors included. */
  #readable(response: Response, request: BrokerRequest, route: string | undefined): Response {
    if (route === 'code') allowOrigin(response, request, this.#options.origins)
    return response
  }
}

function hasRefreshToken(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'refresh_token' in body
}
