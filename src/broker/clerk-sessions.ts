// Sessions at Clerk, through its SDK: verifies session tokens, issues new ones and revokes sessions. Each call has a timeout.
import { createClerkClient, verifyToken } from '@clerk/backend'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import type { Clock } from '../host/clock.ts'
import { withTimeout } from '../host/timeout.ts'
import { ClerkRejection, fromRejection, fromSdkError } from './clerk-errors.ts'
import { BrokerError } from './errors.ts'
import { RateLimiter } from './limiter.ts'
import type { SessionReference } from './refresh-token.ts'

export interface ClerkSessionsOptions {
  readonly secretKey: string
  readonly apiUrl: string
  /** The instance's public key as PEM; undefined fetches Clerk's JWKS. */
  readonly jwtKey: string | undefined
  /** Frontend API URLs of the instances whose tokens are accepted. */
  readonly issuers: readonly string[]
  /** Origins allowed in `azp`; empty allows any. */
  readonly authorizedParties: readonly string[]
  /** JWT template for issued tokens; undefined issues session tokens. */
  readonly template: string | undefined
  /** Lifetime of issued tokens in seconds; undefined leaves it to Clerk. */
  readonly tokenSeconds: number | undefined
  /** Timeout of each call in seconds. */
  readonly timeoutSeconds: number
  readonly clock: Clock
}

export interface IssuedToken {
  readonly token: string
  /** Seconds. */
  readonly lifetime: number
}

const UNKNOWN_KEYS_PER_MINUTE = 30 // the SDK fetches Clerk's JWKS for each token with a key id that it does not know
const MAX_KNOWN_KEYS = 16

export class ClerkSessions {
  readonly #options: ClerkSessionsOptions
  readonly #sdk: ReturnType<typeof createClerkClient>
  readonly #knownKeyIds = new Set<string>()
  readonly #unknownKeyLimiter: RateLimiter

  constructor(options: ClerkSessionsOptions) {
    const { secretKey, apiUrl, clock } = options
    this.#options = options
    this.#sdk = createClerkClient({ secretKey, apiUrl, telemetry: { disabled: true } })
    this.#unknownKeyLimiter = new RateLimiter(UNKNOWN_KEYS_PER_MINUTE, clock)
  }

  /**
   * The session that a session token proves. A token from a JWT template has no `sid`: then it is the claimed session, and
   * `refresh` checks that the session belongs to the token's user.
   * @throws BrokerError
   */
  async verify(token: string, sessionId: string): Promise<SessionReference> {
    const { secretKey, apiUrl, jwtKey, issuers, authorizedParties } = this.#options
    const keyId = this.#admitKey(token)
    const claims = await this.#call(() =>
      verifyToken(token, { secretKey, apiUrl, ...(jwtKey === undefined ? {} : { jwtKey }) }),
    )
    if (this.#knownKeyIds.size < MAX_KNOWN_KEYS) this.#knownKeyIds.add(keyId)
    if (!issuers.includes(claims.iss)) throw new BrokerError('invalid_grant', 'unknown_issuer')
    // Tokens that the Backend API issues have no azp, since they are not issued to a web page.
    if (claims.azp !== undefined && authorizedParties.length > 0 && !authorizedParties.includes(claims.azp)) {
      throw new BrokerError('invalid_grant', 'unauthorized_party')
    }
    if (claims.sid !== undefined && claims.sid !== sessionId) throw new BrokerError('invalid_grant', 'session_mismatch')
    if (claims.sts === 'pending') throw new BrokerError('interaction_required', 'session_pending')
    return { sessionId, userId: claims.sub, issuer: claims.iss }
  }

  /**
   * A new token for an active session, and when that session ends (Unix time in seconds). Both requests run at once. The
   * session's failure is reported first, because Clerk answers 404 both for a missing session and for a missing template.
   * @throws BrokerError
   */
  async refresh(session: SessionReference): Promise<IssuedToken & { readonly sessionExpiresAt: number }> {
    const [expiry, issued] = await Promise.allSettled([this.#expiryOf(session), this.#issueToken(session)])
    if (expiry.status === 'rejected') throw expiry.reason
    if (issued.status === 'rejected') throw issued.reason
    return { ...issued.value, sessionExpiresAt: expiry.value }
  }

  /** Revokes the session; succeeds if Clerk no longer knows it. @throws BrokerError */
  async revoke(sessionId: string): Promise<void> {
    try {
      await this.#call(() => this.#sdk.sessions.revokeSession(sessionId))
    } catch (error) {
      if (!(error instanceof ClerkRejection && error.status === 404)) throw fromRejection(error, 'session')
    }
  }

  async #expiryOf({ sessionId, userId }: SessionReference): Promise<number> {
    const session = await this.#call(() => this.#sdk.sessions.getSession(sessionId)).catch((error: unknown) => {
      throw fromRejection(error, 'session')
    })
    if (session?.id !== sessionId) throw new BrokerError('invalid_response')
    if (session.userId !== userId) throw new BrokerError('invalid_grant', 'user_mismatch')
    if (session.status === 'pending') throw new BrokerError('interaction_required', 'session_pending')
    const expiresAt = Math.floor(session.expireAt / 1000)
    if (session.status !== 'active' || expiresAt <= this.#options.clock.now()) {
      throw new BrokerError('invalid_grant', 'session_ended')
    }
    return expiresAt
  }

  async #issueToken({ sessionId, userId }: SessionReference): Promise<IssuedToken> {
    const { template, tokenSeconds } = this.#options
    const issue = () => this.#sdk.sessions.getToken(sessionId, template ?? '', tokenSeconds)
    const issued = await this.#call(issue).catch((error: unknown) => {
      throw fromRejection(error, 'template')
    })
    const claims = claimsOf(issued?.jwt)
    if (claims?.sub !== userId) throw new BrokerError('invalid_response')
    return { token: issued.jwt, lifetime: claims.exp - claims.iat }
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    const { timeoutSeconds, clock } = this.#options
    try {
      const timedOut = () => new BrokerError('temporarily_unavailable', 'timeout')
      return await withTimeout(clock, timeoutSeconds, call(), timedOut)
    } catch (error) {
      throw fromSdkError(error)
    }
  }

  /** The token's key id. Limits how often tokens with unknown key ids make the SDK fetch Clerk's JWKS. @throws BrokerError */
  #admitKey(token: string): string {
    const keyId = keyIdOf(token)
    if (keyId === undefined) throw new BrokerError('invalid_grant', 'session_token_malformed')
    if (this.#options.jwtKey !== undefined || this.#knownKeyIds.has(keyId)) return keyId
    const waitSeconds = this.#unknownKeyLimiter.consume('')
    if (waitSeconds > 0) throw new BrokerError('temporarily_unavailable', 'unknown_key_limit', waitSeconds)
    return keyId
  }
}

function keyIdOf(token: string): string | undefined {
  try {
    const { kid } = decodeProtectedHeader(token)
    return typeof kid === 'string' ? kid : undefined
  } catch {
    return undefined
  }
}

/** The claims of a token that Clerk has just issued; undefined if one is missing or invalid. */
function claimsOf(token: unknown): { sub: string; exp: number; iat: number } | undefined {
  if (typeof token !== 'string') return undefined
  try {
    const { sub, exp, iat } = decodeJwt(token)
    if (typeof sub !== 'string' || typeof exp !== 'number' || typeof iat !== 'number' || exp <= iat) return undefined
    return { sub, exp, iat }
  } catch {
    return undefined
  }
}
