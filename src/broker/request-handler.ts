// Answers the requests to the broker: finds the route, checks the body, and turns every outcome into an answer and a log line.
import type { ClerkTime } from './clerk-time.ts'
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
  isCodeRequest,
  isInstancesRequest,
  parseBody,
  pathOf,
  type Route,
  readBody,
  routeOf,
} from './request.ts'
import { type BrokerResponse, jsonResponse, withHeaders } from './response.ts'
import { codeRequest, refreshRequest, sessionRequest, tokenRequest } from './schemas.ts'

export interface RequestHandlerOptions {
  readonly grants: Grants
  readonly proofs: DpopVerifier
  readonly limits: Limits
  readonly issuers: readonly string[]
  /** The origins of the pages. */
  readonly origins: readonly string[]
  readonly log: (fields: BrokerLogFields) => void
  readonly time: ClerkTime
}

const EVENTS = { code: 'code_issued', token: 'token_issued', refresh: 'refreshed', logout: 'logged_out' } as const
const RETRY_AFTER = 1 // s; for a request that is refused because too many are being answered

export class RequestHandler {
  readonly #options: RequestHandlerOptions

  constructor(options: RequestHandlerOptions) {
    this.#options = options
  }

  /** Never throws. */
  async handle(request: BrokerRequest, context: RequestContext = {}): Promise<BrokerResponse> {
    if (isInstancesRequest(request)) return jsonResponse({ issuers: this.#options.issuers })
    const { time, log, proofs } = this.#options
    const startedAt = time.monotonic()
    const known: Partial<Pick<BrokerLogFields, 'route' | 'sessionId' | 'userId'>> = {}
    const report = (outcome: Pick<BrokerLogFields, 'event' | 'status' | 'reason'>) =>
      log({ ...outcome, ...known, ...context, ms: Math.round((time.monotonic() - startedAt) * 1000) })
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
      const answer = jsonResponse(body, 200, hasNonce ? { 'DPoP-Nonce': proofs.nonce() } : {})
      return this.#readable(answer, request, route)
    } catch (thrown) {
      const error = time.judge(thrown)
      const failure = error instanceof BrokerError ? error : new BrokerError('misconfigured', 'unexpected')
      const { status, reason, kind } = failure
      report({ event: status >= 500 ? 'failed' : 'refused', status, reason })
      const nonce = kind === 'use_dpop_nonce' ? { 'DPoP-Nonce': proofs.nonce() } : {}
      return this.#readable(withHeaders(failure.toResponse(), nonce), request, known.route)
    }
  }

  /** The answer while too many requests are being answered. A preflight costs nothing, and without it a page could not read the 503. */
  overloaded(request: BrokerRequest): BrokerResponse {
    const { origins } = this.#options
    const refusal = new BrokerError('temporarily_unavailable', 'overloaded', RETRY_AFTER).toResponse()
    if (!isCodeRequest(request)) return refusal
    return preflightResponse(request, origins) ?? allowOrigin(refusal, request, origins)
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
  #readable(answer: BrokerResponse, request: BrokerRequest, route: string | undefined): BrokerResponse {
    return route === 'code' ? allowOrigin(answer, request, this.#options.origins) : answer
  }
}

function hasRefreshToken(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'refresh_token' in body
}
