// The broker: trades a session token, or one of its own refresh tokens, for a new session token. Mounts in any Fetch-style server.
import { type Clock, systemClock } from '../host/clock.ts'
import { ClerkSessions } from './clerk-sessions.ts'
import { BrokerError } from './errors.ts'
import { RateLimiter } from './limiter.ts'
import { RefreshTokens } from './refresh-token.ts'
import { bearerTokenOf, readBody, refreshTokenOf, routeOf, sessionIdOf } from './request.ts'

/** All fields that a log line may have: never a token, a header or a body. */
export interface BrokerLogFields {
  readonly event: 'refreshed' | 'logged_out' | 'refused' | 'failed'
  readonly status: number
  /** A code from a closed list. */
  readonly reason?: string
  readonly sessionId?: string
  /** Duration of the request in milliseconds. */
  readonly ms: number
}

export interface BrokerOptions {
  /** Clerk's secret key, `sk_…`. */
  readonly secretKey: string
  /** The broker's own keys, 32 bytes each: the first encrypts refresh tokens, all of them decrypt. */
  readonly keys: readonly Uint8Array[]
  /** Frontend API URLs of the Clerk instances whose tokens are accepted. */
  readonly issuers: readonly string[]
  /** Clerk's Backend API; default `https://api.clerk.com`. */
  readonly apiUrl?: string
  /** The instance's public key as PEM. With it, tokens are verified without a request to Clerk. */
  readonly jwtKey?: string
  /** Origins allowed in a token's `azp`; default any. */
  readonly authorizedParties?: readonly string[]
  /** JWT template for issued tokens; default none: session tokens. */
  readonly template?: string
  /** Lifetime of issued tokens in seconds, at least 30; default Clerk's own (60). */
  readonly tokenSeconds?: number
  /** Maximum age of a refresh token in seconds, even if its session lives longer; default 90 days. */
  readonly refreshTokenSeconds?: number
  /** Limit for each session, in each copy of the broker; default 30. */
  readonly requestsPerMinute?: number
  /** Timeout of each call to Clerk in seconds; default 5. */
  readonly deadlineSeconds?: number
  readonly log?: (fields: BrokerLogFields) => void
  readonly clock?: Clock
}

export type Broker = (request: Request) => Promise<Response>

interface Completed {
  readonly event: 'refreshed' | 'logged_out'
  readonly sessionId: string
  readonly body: object
}

const DAY = 86_400 // s

/** The only state is the rate limiter's: copies with the same keys are interchangeable. */
export function createBroker(options: BrokerOptions): Broker {
  const { log = () => undefined, clock = systemClock } = options
  const sessions = new ClerkSessions({
    secretKey: options.secretKey,
    apiUrl: options.apiUrl ?? 'https://api.clerk.com',
    jwtKey: options.jwtKey,
    issuers: options.issuers,
    authorizedParties: options.authorizedParties ?? [],
    template: options.template,
    tokenSeconds: options.tokenSeconds,
    timeoutSeconds: options.deadlineSeconds ?? 5,
    clock,
  })
  const refreshTokens = new RefreshTokens(options.keys, options.refreshTokenSeconds ?? 90 * DAY, clock)
  const limiter = new RateLimiter(options.requestsPerMinute ?? 30, clock)

  const limit = (sessionId: string) => {
    const waitSeconds = limiter.consume(sessionId)
    if (waitSeconds > 0) throw new BrokerError('too_many_requests', 'too_many_requests', waitSeconds)
  }

  const refresh = async (request: Request): Promise<Completed> => {
    const body = await readBody(request)
    const session =
      body.refresh_token === undefined
        ? await sessions.verify(bearerTokenOf(request), sessionIdOf(body))
        : await refreshTokens.verify(refreshTokenOf(body))
    if (!options.issuers.includes(session.issuer)) throw new BrokerError('invalid_grant', 'unknown_issuer')
    const { sessionId } = session
    limit(sessionId)
    const { token, lifetime, sessionExpiresAt } = await sessions.refresh(session)
    return {
      event: 'refreshed',
      sessionId,
      body: {
        token,
        expires_in: lifetime,
        session_id: sessionId,
        // The previous refresh token stays valid, so a client that lost this answer can retry.
        refresh_token: await refreshTokens.issue(session, sessionExpiresAt),
        session_expires_at: sessionExpiresAt,
      },
    }
  }

  const logout = async (request: Request): Promise<Completed> => {
    const { sessionId } = await refreshTokens.verify(refreshTokenOf(await readBody(request)), { allowExpired: true })
    limit(sessionId)
    await sessions.revoke(sessionId)
    return { event: 'logged_out', sessionId, body: { revoked: true } }
  }

  return async (request) => {
    const startedAt = clock.monotonic()
    const elapsed = () => Math.round((clock.monotonic() - startedAt) * 1000)
    try {
      const { event, sessionId, body } = await (routeOf(request) === 'refresh' ? refresh(request) : logout(request))
      log({ event, status: 200, sessionId, ms: elapsed() })
      return Response.json(body, { headers: { 'Cache-Control': 'no-store' } })
    } catch (error) {
      const failure = error instanceof BrokerError ? error : new BrokerError('misconfigured', 'unexpected')
      const { status, reason } = failure
      log({ event: status >= 500 ? 'failed' : 'refused', status, reason, ms: elapsed() })
      return failure.toResponse()
    }
  }
}
