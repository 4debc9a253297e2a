// The broker: trades a session for a code, a code for tokens, a refresh token for new ones. Mounts in any Fetch-style server.
import { type Clock, systemClock } from '../host/clock.ts'
import { systemRandom } from '../host/random.ts'
import { AuthorizationCodes } from './authorization-code.ts'
import { ClerkApi } from './clerk-api.ts'
import { ClerkInstanceProof } from './clerk-instance-proof.ts'
import { ClerkSessions } from './clerk-sessions.ts'
import { allowOrigin, preflightResponse } from './cors.ts'
import { DpopVerifier } from './dpop.ts'
import { BrokerError } from './errors.ts'
import { type Answered, Grants, type Presented } from './grants.ts'
import { shedLoad } from './load-shedding.ts'
import type { BrokerLogFields } from './log-fields.ts'
import type { RequestContext } from './node-handler.ts'
import { type BrokerOptions, checkOptions } from './options.ts'
import { parsePublicKey } from './public-key.ts'
import { type Grant, RefreshTokens } from './refresh-token.ts'
import {
  type BrokerRequest,
  bearerTokenOf,
  isInstancesRequest,
  parseBody,
  ROUTES,
  type Route,
  readBody,
  routeOf,
} from './request.ts'
import { createResources } from './resources.ts'
import { codeRequest, refreshRequest, sessionRequest, tokenRequest } from './schemas.ts'
import { Sealer } from './sealed.ts'
import { SessionExtension } from './session-extension.ts'
import { SessionTokenVerifier } from './session-token.ts'
import { SigningKeys } from './signing-keys.ts'

export type { ClerkCalls, ClerkOperation, ClerkRequest, ClerkResponse } from './clerk-calls.ts'
export type { SessionTokenExchange } from './grants.ts'
export type { LimitScope, Limits } from './limits.ts'
export { Monitor } from './monitor.ts'
export { type RequestContext, toNodeHandler } from './node-handler.ts'
export { connectRedis, type RedisConnection } from './redis.ts'
export { optionsFromEnvironment } from './settings.ts'
export type { SingleUse, SingleUseKind } from './single-use.ts'
export type { BrokerLogFields, BrokerOptions }

export type BrokerHandler = (request: BrokerRequest, context?: RequestContext) => Promise<Response>

export interface Broker extends BrokerHandler {
  /** Fetches Clerk's keys now, and then by a timer. Without it they are fetched when the first session is handed over. */
  start(): void
  /** Whether Clerk's keys are loaded. */
  isReady(): boolean
  /** Stops the timer. */
  close(): void
}

const DAY = 86_400 // s
const MAX_IN_FLIGHT = 512

/**
 * Copies with the same keys are interchangeable. Their memory holds only the limits and what was used once.
 * @throws TypeError if an option is missing or wrong
 */
export function createBroker(options: BrokerOptions): Broker {
  checkOptions(options)
  const { clock = systemClock, authorizedParties: origins, monitor, redis } = options
  const log: typeof options.log = (fields) => {
    monitor?.record(fields)
    options.log?.(fields)
  }
  const { keys, grants, proofs, limits, pool } = assemble(options, log, clock)

  const answer = async (route: Route, request: BrokerRequest, presented: Presented): Promise<Answered<object>> => {
    const body = await readBody(request)
    if (route === 'code') {
      const parsed = parseBody(codeRequest, body)
      const origin = request.headers.get('origin')
      return { body: await grants.authorize(bearerTokenOf(request), parsed, origin, presented), hasNonce: false }
    }
    if (route === 'token') return await grants.exchangeCode(parseBody(tokenRequest, body), presented)
    if (route === 'logout') return await grants.logout(parseBody(refreshRequest, body).refresh_token, presented)
    if (hasRefreshToken(body)) return await grants.refresh(parseBody(refreshRequest, body).refresh_token, presented)
    const { session_id: sessionId } = parseBody(sessionRequest, body)
    return await grants.exchangeToken(bearerTokenOf(request), sessionId, presented)
  }

  const handle = async (request: BrokerRequest, context: RequestContext = {}): Promise<Response> => {
    const startedAt = clock.monotonic()
    const known: { route?: Route; sessionId?: string; userId?: string } = {}
    const report = (event: BrokerLogFields['event'], status: number, reason?: string) => {
      const ms = Math.round((clock.monotonic() - startedAt) * 1000)
      log({ event, status, ...(reason === undefined ? {} : { reason }), ...known, ...context, ms })
    }
    let response: Response
    try {
      if (isInstancesRequest(request))
        return Response.json({ issuers: options.issuers }, { headers: { 'Cache-Control': 'no-store' } })
      const route = routeOf(request)
      known.route = route
      const preflight = route === 'code' && request.method === 'OPTIONS' && preflightResponse(request, origins)
      if (preflight) return preflight
      if (request.method !== 'POST') throw new BrokerError('method_not_allowed')
      const waitSeconds = context.address === undefined ? 0 : await limits.take('address', context.address)
      if (waitSeconds > 0) throw new BrokerError('too_many_requests', 'too_many_requests_of_address', waitSeconds)
      const { body, hasNonce } = await answer(route, request, {
        dpop: request.headers.get('dpop'),
        path: pathOf(route),
        onKnown: ({ sessionId, userId }: Pick<Grant, 'sessionId' | 'userId'>) =>
          Object.assign(known, { sessionId, userId }),
      })
      report(EVENTS[route], 200)
      response = Response.json(body, { headers: { 'Cache-Control': 'no-store' } })
      if (hasNonce) response.headers.set('DPoP-Nonce', proofs.nonce())
    } catch (error) {
      const failure = error instanceof BrokerError ? error : new BrokerError('misconfigured', 'unexpected')
      report(failure.status >= 500 ? 'failed' : 'refused', failure.status, failure.reason)
      response = failure.toResponse()
      if (failure.kind === 'use_dpop_nonce') response.headers.set('DPoP-Nonce', proofs.nonce())
    }
    if (known.route === 'code') allowOrigin(response, request, origins)
    return response
  }
  const { handle: handleWithinLimit, inFlight } = shedLoad(handle, options.maxInFlight ?? MAX_IN_FLIGHT, () =>
    monitor?.metrics.limited('load'),
  )
  monitor?.watch({
    areKeysLoaded: () => keys.isLoaded,
    inFlight,
    clerkRunning: pool.running,
    clerkWaiting: pool.waiting,
    isClerkAvailable: pool.isAvailable,
    isRedisUp: redis?.isUp,
  })
  return Object.assign(handleWithinLimit, {
    start: () => keys.start(),
    isReady: () => keys.isLoaded,
    close: () => keys.stop(),
  })
}

const EVENTS = { code: 'code_issued', token: 'token_issued', refresh: 'refreshed', logout: 'logged_out' } as const

function assemble(options: BrokerOptions, log: (fields: BrokerLogFields) => void, clock: Clock) {
  const { issuers, authorizedParties, audience, publicUrl, template, tokenSeconds } = options
  const { pool, limits, singleUse } = createResources(options, clock)
  const api = new ClerkApi(pool.calls, options.deadlineSeconds ?? 5, clock)
  const jwtKey = options.jwtKey === undefined ? undefined : parsePublicKey(options.jwtKey)
  const keys = new SigningKeys({ api, jwtKey, clock })
  const sealer = new Sealer(options.keys, clock)
  const proofs = new DpopVerifier({ publicUrl, keys: options.keys, singleUse, clock })
  const lifetimes = {
    idleSeconds: options.refreshTokenSeconds ?? 30 * DAY,
    chainSeconds: options.chainSeconds ?? 180 * DAY,
  }
  const onRefused = (status: number) => log({ event: 'session_limit_refused', status })
  const grants = new Grants({
    tokens: new SessionTokenVerifier({ keys, singleUse, issuers, authorizedParties, audience, clock }),
    codes: new AuthorizationCodes(sealer, singleUse, clock, systemRandom),
    refreshTokens: new RefreshTokens(sealer, lifetimes, clock),
    proofs,
    sessions: new ClerkSessions({ api, instance: new ClerkInstanceProof(api), template, tokenSeconds, clock }),
    extension: new SessionExtension({ api, sessionSeconds: options.sessionSeconds, clock, onRefused }),
    limits,
    issuers,
    sessionTokens: options.sessionTokens ?? 'bound',
    unboundUntil: options.unboundUntil,
    clock,
  })
  return { keys, grants, proofs, limits, pool }
}

function hasRefreshToken(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'refresh_token' in body
}

function pathOf(route: Route): string {
  return Object.entries(ROUTES).find(([, name]) => name === route)?.[0] ?? ''
}
