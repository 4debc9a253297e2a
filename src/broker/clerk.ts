// What the broker asks of Clerk, through its SDK: each call with a deadline, each failure judged by whose fault it is.
import { createClerkClient, verifyToken } from '@clerk/backend'
import { isClerkAPIResponseError, TokenVerificationError, TokenVerificationErrorReason } from '@clerk/backend/errors'
import type { Clock } from '../host/clock.ts'
import { withDeadline } from './deadline.ts'
import { BrokerError } from './errors.ts'
import { Limiter } from './limiter.ts'
import type { Held } from './refresh-token.ts'

export interface ClerkOptions {
  readonly secretKey: string
  readonly apiUrl: string
  /** The instance's public key as PEM: then tokens are verified without asking Clerk for its keys. */
  readonly jwtKey: string | undefined
  /** The instances whose tokens are taken, by their Frontend API URL. */
  readonly issuers: readonly string[]
  /** Origins that `azp` may name, where a token has one; none for any. */
  readonly authorizedParties: readonly string[]
  /** The JWT template that tokens are made from; the session token itself where undefined. */
  readonly template: string | undefined
  /** Seconds that tokens are to live; Clerk's own where undefined. */
  readonly tokenSeconds: number | undefined
  /** Seconds for each call. */
  readonly deadlineSeconds: number
  readonly clock: Clock
}

export interface Minted {
  readonly token: string
  /** Seconds. */
  readonly lifetime: number
}

const UNKNOWN_KEYS_PER_MINUTE = 30 // each token with a key id that the SDK does not know makes it ask Clerk for the keys
const { RemoteJWKFailedToLoad, RemoteJWKInvalid, JWKFailedToResolve, InvalidSecretKey } = TokenVerificationErrorReason
const NOT_THE_TOKENS_FAULT = [RemoteJWKFailedToLoad, RemoteJWKInvalid, JWKFailedToResolve]
const GONE = ['user_banned', 'user_deactivated', 'deprovisioned', 'user_locked']

export class Clerk {
  readonly #options: ClerkOptions
  readonly #sdk: ReturnType<typeof createClerkClient>
  readonly #knownKeys = new Set<string>()
  readonly #unknownKeys: Limiter

  constructor(options: ClerkOptions) {
    const { secretKey, apiUrl, clock } = options
    this.#options = options
    this.#sdk = createClerkClient({ secretKey, apiUrl, telemetry: { disabled: true } })
    this.#unknownKeys = new Limiter(UNKNOWN_KEYS_PER_MINUTE, clock)
  }

  /**
   * Whose session a session token proves; of a token from a template, which names no session, the one that is claimed.
   * Whether that is the person's own, `session` tells.
   * @throws BrokerError
   */
  async prove(token: string, sessionId: string): Promise<Held> {
    const { secretKey, apiUrl, jwtKey, issuers, authorizedParties, deadlineSeconds, clock } = this.#options
    const keyId = this.#admitKey(token)
    const claims = await this.#ask(
      () => verifyToken(token, { secretKey, apiUrl, ...(jwtKey === undefined ? {} : { jwtKey }) }),
      deadlineSeconds,
      clock,
    )
    if (this.#knownKeys.size < 16) this.#knownKeys.add(keyId)
    if (!issuers.includes(claims.iss)) throw new BrokerError('invalid_grant', 'foreign_instance')
    // A token that the Backend API has made has no azp at all: it was not made for a page.
    if (claims.azp !== undefined && authorizedParties.length > 0 && !authorizedParties.includes(claims.azp)) {
      throw new BrokerError('invalid_grant', 'foreign_party')
    }
    if (claims.sid !== undefined && claims.sid !== sessionId) throw new BrokerError('invalid_grant', 'other_session')
    if (claims.sts === 'pending') throw new BrokerError('interaction_required', 'pending')
    return { sessionId, userId: claims.sub, issuer: claims.iss }
  }

  /**
   * A new token for a session that lives, and Unix seconds at which that ends. Clerk is asked for both at once, and what
   * it says of the session is looked at first: a missing template and a missing session answer the same.
   * @throws BrokerError
   */
  async renew(held: Held): Promise<Minted & { readonly sessionEnd: number }> {
    const [session, minted] = await Promise.allSettled([this.#session(held), this.#mint(held)])
    if (session.status === 'rejected') throw session.reason
    if (minted.status === 'rejected') throw minted.reason
    return { ...minted.value, sessionEnd: session.value }
  }

  /** Ends the session; one that is gone already is no failure. @throws BrokerError */
  async revoke(sessionId: string): Promise<void> {
    try {
      await this.#call(() => this.#sdk.sessions.revokeSession(sessionId))
    } catch (error) {
      if (!(error instanceof ClerkRefusal && error.status === 404)) throw judge(error, 'set_up')
    }
  }

  async #session({ sessionId, userId }: Held): Promise<number> {
    const session = await this.#call(() => this.#sdk.sessions.getSession(sessionId)).catch((error: unknown) => {
      throw judge(error, 'invalid_grant')
    })
    const { clock } = this.#options
    if (typeof session !== 'object' || session.id !== sessionId) throw new BrokerError('bad_answer')
    if (session.userId !== userId) throw new BrokerError('invalid_grant', 'other_user')
    if (session.status === 'pending') throw new BrokerError('interaction_required', 'pending')
    const end = Math.floor(session.expireAt / 1000)
    if (session.status !== 'active' || end <= clock.now()) throw new BrokerError('invalid_grant', 'session_over')
    return end
  }

  async #mint({ sessionId, userId }: Held): Promise<Minted> {
    const { template, tokenSeconds } = this.#options
    const made = await this.#call(() => this.#sdk.sessions.getToken(sessionId, template ?? '', tokenSeconds)).catch(
      (error: unknown) => {
        // The session is known to live, or its own error goes first: then it is the template that is missing.
        throw judge(error, 'set_up')
      },
    )
    const claims = readClaims(made?.jwt)
    if (claims === undefined || claims.sub !== userId) throw new BrokerError('bad_answer')
    return { token: made.jwt, lifetime: claims.exp - claims.iat }
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    const { deadlineSeconds, clock } = this.#options
    return await this.#ask(call, deadlineSeconds, clock)
  }

  async #ask<T>(call: () => Promise<T>, seconds: number, clock: Clock): Promise<T> {
    try {
      return await withDeadline(clock, seconds, call)
    } catch (error) {
      throw translate(error)
    }
  }

  /** Nobody may make us ask Clerk for its keys without end. @throws BrokerError */
  #admitKey(token: string): string {
    const keyId = readHeader(token)?.kid
    if (typeof keyId !== 'string') throw new BrokerError('invalid_grant', 'no_token')
    if (this.#options.jwtKey !== undefined || this.#knownKeys.has(keyId)) return keyId
    const wait = this.#unknownKeys.take('')
    if (wait > 0) throw new BrokerError('temporarily_unavailable', 'unknown_keys', wait)
    return keyId
  }
}

/** Clerk has answered with a status that means one thing for a session, and another for a template. */
class ClerkRefusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
  ) {
    super('Clerk refused')
    this.name = 'ClerkRefusal'
  }
}

function translate(error: unknown): Error {
  if (error instanceof BrokerError) return error
  if (error instanceof TokenVerificationError) return verificationFailure(error.reason)
  if (!isClerkAPIResponseError(error)) return new BrokerError('temporarily_unavailable', 'no_answer')
  const { status, retryAfter } = error
  // The SDK gives no status where nobody answered, and none where the answer was no JSON.
  if (status === undefined) return new BrokerError('temporarily_unavailable', 'network')
  if (status === 429) return new BrokerError('rate_limited', 'clerk_429', retryAfter)
  if (status === 408 || status >= 500) return new BrokerError('temporarily_unavailable', 'clerk_5xx', retryAfter)
  return new ClerkRefusal(status, error.errors[0]?.code ?? '')
}

function verificationFailure(reason: string): BrokerError {
  if (NOT_THE_TOKENS_FAULT.includes(reason)) return new BrokerError('temporarily_unavailable', 'no_keys')
  if (reason === InvalidSecretKey) return new BrokerError('set_up', 'secret_key')
  return new BrokerError('invalid_grant', 'token')
}

/** @param missing what it means where Clerk knows no such thing */
function judge(error: unknown, missing: 'invalid_grant' | 'set_up'): Error {
  if (!(error instanceof ClerkRefusal)) return error instanceof Error ? error : new BrokerError('bad_answer')
  if (GONE.includes(error.code)) return new BrokerError('invalid_grant', 'user_gone')
  if (error.status === 404) return new BrokerError(missing, missing === 'set_up' ? 'no_template' : 'no_session')
  // A key that Clerk does not take, a plan that does not allow it: the operator's to mend, and no user's fault.
  return new BrokerError('set_up', error.status === 401 ? 'secret_key' : 'clerk_4xx')
}

function readHeader(token: string): Record<string, unknown> | undefined {
  return readJson(token.split('.')[0] ?? '')
}

/** Of a token that Clerk has just made for us. */
function readClaims(token: unknown): { sub: string; exp: number; iat: number } | undefined {
  if (typeof token !== 'string') return undefined
  const { sub, exp, iat } = readJson(token.split('.')[1] ?? '') ?? {}
  if (typeof sub !== 'string' || typeof exp !== 'number' || typeof iat !== 'number' || exp <= iat) return undefined
  return { sub, exp, iat }
}

function readJson(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
