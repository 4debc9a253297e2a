// The client of CADZERO's broker: redeems the code of a sign-in, refreshes the session token, and ends the session at logout.
import * as v from 'valibot'
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import { type Random, randomText } from '../host/random.ts'
import type { Session, User } from '../store/session.ts'
import { displayText } from './display-text.ts'
import { newProof, newProofKey, nonceOf, type ProofKey } from './dpop.ts'
import { SessionEndedError, UnavailableError } from './errors.ts'
import type { Grant, Renewal } from './identity-provider.ts'
import { unverifiedClaims } from './jwt.ts'
import { organizationOf } from './organization.ts'
import { ResponseWatch } from './response-watch.ts'

const LONGEST_TOKEN = 16 * 1024 // characters; a session token is about 1 KiB
const LATEST_END = 253_402_300_799 // Unix seconds of the end of the year 9999; a later one is no date

const userSchema = v.object({
  id: v.pipe(v.string(), v.minLength(1)),
  email: v.optional(v.nullable(v.string()), null),
  name: v.optional(v.nullable(v.string()), null),
})

const responseSchema = v.object({
  token: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/), v.maxLength(LONGEST_TOKEN)),
  expires_in: v.pipe(v.number(), v.finite(), v.minValue(1)),
  session_id: v.pipe(v.string(), v.minLength(1)),
  refresh_token: v.pipe(v.string(), v.minLength(1), v.maxLength(LONGEST_TOKEN)),
  session_expires_at: v.optional(v.nullable(v.pipe(v.number(), v.finite(), v.minValue(0))), null),
  user: v.optional(userSchema),
})

type BrokerResponse = v.InferOutput<typeof responseSchema>

export interface BrokerClientOptions {
  readonly url: string
  readonly fetch: Fetch
  readonly clock: Clock
  readonly random: Random
}

/** The part of a session that a refresh needs. A session that has just been handed over has no more. */
export type RefreshableSession = Pick<Session, 'accessToken' | 'refreshToken' | 'sessionId' | 'user' | 'proofKey'>

/** A code of the sign-in page, with what proves that it was made for this sign-in (RFC 7636, RFC 9449). */
export interface Redemption {
  readonly code: string
  readonly codeVerifier: string
  readonly redirectUri: string
}

interface Sent {
  readonly path: '/api/auth/token' | '/api/auth/refresh' | '/api/auth/logout'
  readonly body: object
  readonly proofKey: ProofKey | undefined
  readonly headers?: Record<string, string>
}

const EXPIRY_SLACK = 60 // s; a session that ends this close to its known end has expired, and was not revoked

export class BrokerClient {
  readonly #options: BrokerClientOptions
  readonly #url: string
  /** What the broker wants to find in the next proof: it replaces the clock of this computer. */
  #nonce: string | undefined

  constructor(options: BrokerClientOptions) {
    this.#options = options
    this.#url = options.url.replace(/\/$/, '')
  }

  /**
   * Exchanges the code for a session. Who its user is comes from the broker, which has asked Clerk.
   * @param issuer the Clerk instance whose token is expected
   * @throws SessionEndedError if the code is not valid; RejectedError, UnavailableError
   */
  async redeem({ code, codeVerifier, redirectUri }: Redemption, issuer: string): Promise<Grant> {
    const proofKey = await newProofKey()
    const body = await this.#request({
      path: '/api/auth/token',
      body: { code, code_verifier: codeVerifier, redirect_uri: redirectUri },
      proofKey,
    })
    const claims = unverifiedClaims(body.token) ?? {}
    const isConsistent = claims.iss === issuer && claims.sub === body.user?.id
    if (body.user === undefined || !isConsistent || !isOfSession(claims.sid, body)) throw new UnavailableError('server')
    return { ...this.#renewal(body, claims), user: shownUser(body.user), sessionId: body.session_id, proofKey }
  }

  /**
   * A new session token, and the refresh token for the next refresh. The first refresh authenticates by the session token.
   * A session without a key, of version 1.0, gets one.
   * @param expiresAt the known end of the session in Unix seconds, or null
   * @throws SessionEndedError, RejectedError, UnavailableError
   */
  async refresh(session: RefreshableSession, expiresAt: number | null): Promise<Renewal> {
    const proofKey = session.proofKey ?? (await newProofKey())
    const body = await this.#request({ path: '/api/auth/refresh', ...credentials(session), proofKey }).catch(
      (failure: unknown) => {
        const hasExpired = expiresAt !== null && this.#options.clock.now() >= expiresAt - EXPIRY_SLACK
        throw failure instanceof SessionEndedError && hasExpired ? new SessionEndedError('session_expired') : failure
      },
    )
    // The broker must not be able to sign this user in as another one by mistake.
    const claims = unverifiedClaims(body.token) ?? {}
    const { user = session.user } = body
    const isSameUser = claims.sub === session.user.id && user.id === session.user.id
    if (body.session_id !== session.sessionId || !isSameUser) throw new UnavailableError('server')
    return { ...this.#renewal(body, claims), proofKey, ...(body.user ? { user: shownUser(body.user) } : {}) }
  }

  /** Ends the session at Clerk. False if the broker could not confirm it. Never throws. */
  async revoke(refreshToken: string, proofKey: ProofKey | undefined): Promise<boolean> {
    try {
      const sent: Sent = { path: '/api/auth/logout', body: { refresh_token: refreshToken }, proofKey }
      const response = await this.#send(new ResponseWatch(this.#options.fetch, this.#options.clock), sent)
      const body: unknown = await response.json()
      return typeof body === 'object' && body !== null && 'revoked' in body && body.revoked === true
    } catch {
      return false
    }
  }

  /** @throws SessionEndedError, RejectedError, UnavailableError */
  async #request(sent: Sent): Promise<BrokerResponse> {
    const watch = new ResponseWatch(this.#options.fetch, this.#options.clock)
    try {
      const response = await this.#send(watch, sent)
      return v.parse(responseSchema, await response.json())
    } catch {
      // A second demand: the nonce has just changed, and the next try has the new one (RFC 9449 section 8).
      throw watch.error === 'use_dpop_nonce' ? new UnavailableError('server') : watch.failure()
    }
  }

  /** Sends a request, and once more if the broker wants its nonce in the proof: the first one has had no effect then. */
  async #send(watch: ResponseWatch, sent: Sent): Promise<Response> {
    let response = await this.#sendOnce(watch.fetch, sent)
    const isNonceWanted = watch.error === 'use_dpop_nonce' && nonceOf(response.headers) !== undefined
    if (isNonceWanted) response = await this.#sendOnce(watch.fetch, sent)
    if (response.status !== 200) throw new UnavailableError('server') // the watch knows the exact failure
    return response
  }

  async #sendOnce(fetch: Fetch, { path, body, proofKey, headers = {} }: Sent): Promise<Response> {
    const url = `${this.#url}${path}`
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Accept: 'application/json',
        ...headers,
        ...(proofKey === undefined ? {} : { DPoP: await this.#proof(proofKey, url) }),
      },
      body: JSON.stringify(body),
    })
    this.#nonce = nonceOf(response.headers) ?? this.#nonce // RFC 9449 section 8.2
    return response
  }

  #proof(key: ProofKey, url: string): Promise<string> {
    const { clock, random } = this.#options
    return newProof(key, { method: 'POST', url, nonce: this.#nonce, now: clock.now(), id: randomText(random, 16) })
  }

  #renewal(body: BrokerResponse, claims: Readonly<Record<string, unknown>>) {
    const { clock } = this.#options
    return {
      accessToken: { value: body.token, receivedAt: clock.now(), lifetime: lifetimeOf(body.expires_in, claims) },
      refreshToken: body.refresh_token,
      sessionExpiresAt: dateOrNull(body.session_expires_at),
      organization: organizationOf(claims),
    }
  }
}

function credentials({ refreshToken, sessionId, accessToken }: RefreshableSession): Pick<Sent, 'body' | 'headers'> {
  if (refreshToken !== null) return { body: { refresh_token: refreshToken } }
  return { body: { session_id: sessionId }, headers: { Authorization: `Bearer ${accessToken.value}` } }
}

/** A token of a JWT template names no session. */
function isOfSession(sid: unknown, { session_id }: BrokerResponse): boolean {
  return sid === undefined || sid === session_id
}

/** Seconds, but never more than the token itself says: a longer one would be given out after its end. */
function lifetimeOf(expiresIn: number, { exp, iat }: Readonly<Record<string, unknown>>): number {
  const own = typeof exp === 'number' && typeof iat === 'number' ? exp - iat : Number.POSITIVE_INFINITY
  return own > 0 ? Math.min(expiresIn, own) : expiresIn
}

function dateOrNull(time: number | null): number | null {
  return time !== null && time <= LATEST_END ? time : null
}

function shownUser({ id, email, name }: User): User {
  return { id, email: displayText(email), name: displayText(name) }
}
