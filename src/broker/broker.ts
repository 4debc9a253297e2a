// The broker: trades a session for a code, a code for tokens, a refresh token for new ones. Mounts in any Fetch-style server.
import { type Clock, systemClock } from '../host/clock.ts'
import { systemRandom } from '../host/random.ts'
import { AuthorizationCodes } from './authorization-code.ts'
import { ClerkApi } from './clerk-api.ts'
import { ClerkInstanceProof } from './clerk-instance-proof.ts'
import { ClerkSessions } from './clerk-sessions.ts'
import { ClerkTime } from './clerk-time.ts'
import { DpopVerifier } from './dpop.ts'
import { Grants } from './grants.ts'
import { shedLoad } from './load-shedding.ts'
import type { BrokerLogFields } from './log-fields.ts'
import { CLOCK_HINT } from './monitor.ts'
import type { RequestContext } from './node-handler.ts'
import { type BrokerOptions, checkOptions } from './options.ts'
import { parsePublicKey } from './public-key.ts'
import { RefreshTokens } from './refresh-token.ts'
import type { BrokerRequest } from './request.ts'
import { RequestHandler } from './request-handler.ts'
import { createResources } from './resources.ts'
import { type BrokerResponse, toFetchResponse } from './response.ts'
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
  /** As the broker itself, for `toNodeHandler`: to make a Response of the Fetch standard costs as much as to seal a token. */
  answer(request: BrokerRequest, context?: RequestContext): Promise<BrokerResponse>
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
  const { clock = systemClock, monitor, redis } = options
  const log: typeof options.log = (fields) => {
    monitor?.record(fields)
    options.log?.(fields)
  }
  const { keys, handler, pool, time } = assemble(options, log, clock)
  const { handle: answer, inFlight } = shedLoad(
    (request: BrokerRequest, context?: RequestContext) => handler.handle(request, context),
    options.maxInFlight ?? MAX_IN_FLIGHT,
    (request) => {
      monitor?.metrics.limited('load')
      return handler.overloaded(request)
    },
  )
  const handle: BrokerHandler = async (request, context) => toFetchResponse(await answer(request, context))
  monitor?.watch({
    areKeysLoaded: () => keys.isLoaded,
    inFlight,
    clerkRunning: pool.running,
    clerkWaiting: pool.waiting,
    isClerkAvailable: pool.isAvailable,
    clockOffset: () => time.offset(),
    isClockRight: () => time.isRight(),
    isRedisUp: redis?.isUp,
  })
  return Object.assign(handle, {
    answer,
    start: () => keys.start(),
    isReady: () => keys.isLoaded,
    close: () => keys.stop(),
  })
}

function assemble(options: BrokerOptions, log: (fields: BrokerLogFields) => void, clock: Clock) {
  const { issuers, authorizedParties, audience, publicUrl, template, tokenSeconds } = options
  const { pool, limits, singleUse } = createResources(options, clock)
  const time = new ClerkTime({
    clock,
    ask: () => keys.fetch(),
    onChange: (isRight, offset) => log(clockLine(isRight, offset)),
  })
  const api = new ClerkApi(time.observing(pool.calls), options.deadlineSeconds ?? 5, clock)
  const jwtKey = options.jwtKey === undefined ? undefined : parsePublicKey(options.jwtKey)
  const keys = new SigningKeys({ api, jwtKey, clock })
  const sealer = new Sealer(options.keys, time)
  const proofs = new DpopVerifier({ publicUrl, keys: options.keys, singleUse, clock: time })
  const lifetimes = {
    idleSeconds: options.refreshTokenSeconds ?? 30 * DAY,
    chainSeconds: options.chainSeconds ?? 180 * DAY,
  }
  const onRefused = (status: number) => log({ event: 'session_limit_refused', status })
  const grants = new Grants({
    tokens: new SessionTokenVerifier({ keys, singleUse, issuers, authorizedParties, audience, clock: time }),
    codes: new AuthorizationCodes(sealer, singleUse, time, systemRandom),
    refreshTokens: new RefreshTokens(sealer, lifetimes, time),
    proofs,
    sessions: new ClerkSessions({ api, instance: new ClerkInstanceProof(api), template, tokenSeconds }),
    extension: new SessionExtension({ api, sessionSeconds: options.sessionSeconds, clock: time, onRefused }),
    limits,
    issuers,
    sessionTokens: options.sessionTokens ?? 'bound',
    unboundUntil: options.unboundUntil,
    time,
  })
  const handler = new RequestHandler({ grants, proofs, limits, issuers, origins: authorizedParties, log, time })
  return { keys, handler, pool, time }
}

function clockLine(isRight: boolean, offset: number): BrokerLogFields {
  const offsetSeconds = Math.round(offset)
  if (isRight) return { event: 'clock_right', status: 200, offsetSeconds }
  return { event: 'clock_wrong', status: 503, offsetSeconds, hint: CLOCK_HINT }
}
