// The client of CADZERO's broker: refreshes the session token, and ends the session at logout.
import * as v from 'valibot'
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import type { Session } from '../store/session.ts'
import { SessionEndedError, UnavailableError } from './errors.ts'
import type { Renewal } from './identity-provider.ts'
import { unverifiedClaims } from './jwt.ts'
import { organizationOf } from './organization.ts'
import { ResponseWatch } from './response-watch.ts'

const responseSchema = v.object({
  token: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/), v.maxLength(16 * 1024)),
  expires_in: v.pipe(v.number(), v.finite(), v.minValue(1)),
  session_id: v.pipe(v.string(), v.minLength(1)),
  refresh_token: v.pipe(v.string(), v.minLength(1), v.maxLength(16 * 1024)),
  session_expires_at: v.optional(v.nullable(v.pipe(v.number(), v.finite(), v.minValue(0))), null),
})

/** The part of a session that a refresh needs. A session that has just been handed over has no more. */
export type RefreshableSession = Pick<Session, 'accessToken' | 'refreshToken' | 'sessionId' | 'user'>

const EXPIRY_SLACK = 60 // s; a session that ends this close to its known end has expired, and was not revoked

export class BrokerClient {
  readonly #url: string
  readonly #fetch: Fetch
  readonly #clock: Clock

  constructor(url: string, fetch: Fetch, clock: Clock) {
    this.#url = url.replace(/\/$/, '')
    this.#fetch = fetch
    this.#clock = clock
  }

  /**
   * A new session token, and the refresh token for the next refresh. The first refresh authenticates by the session token.
   * @param expiresAt the known end of the session in Unix seconds, or null
   * @throws SessionEndedError, RejectedError, UnavailableError
   */
  async refresh(session: RefreshableSession, expiresAt: number | null): Promise<Renewal> {
    const watch = new ResponseWatch(this.#fetch, this.#clock)
    let body: v.InferOutput<typeof responseSchema>
    try {
      const response = await this.#post(watch.fetch, '/api/auth/refresh', ...credentials(session))
      body = v.parse(responseSchema, await response.json())
    } catch {
      throw this.#reason(watch.failure(), expiresAt)
    }
    // The broker must not be able to sign this user in as another one by mistake.
    const claims = unverifiedClaims(body.token) ?? {}
    const isSameSession = body.session_id === session.sessionId && claims.sub === session.user.id
    if (!isSameSession) throw new UnavailableError('server')
    return {
      accessToken: { value: body.token, receivedAt: this.#clock.now(), lifetime: body.expires_in },
      refreshToken: body.refresh_token,
      sessionExpiresAt: body.session_expires_at,
      organization: organizationOf(claims),
    }
  }

  /** Ends the session at Clerk. False if the broker could not confirm it. Never throws. */
  async revoke(refreshToken: string): Promise<boolean> {
    try {
      const response = await this.#post(this.#fetch, '/api/auth/logout', { refresh_token: refreshToken })
      const body: unknown = await response.json()
      return typeof body === 'object' && body !== null && 'revoked' in body && body.revoked === true
    } catch {
      return false
    }
  }

  async #post(fetch: Fetch, path: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
    const response = await fetch(`${this.#url}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    if (response.status !== 200) throw new UnavailableError('server') // the watch knows the exact failure
    return response
  }

  #reason(failure: Error, expiresAt: number | null): Error {
    const hasExpired = expiresAt !== null && this.#clock.now() >= expiresAt - EXPIRY_SLACK
    return failure instanceof SessionEndedError && hasExpired ? new SessionEndedError('session_expired') : failure
  }
}

function credentials({ refreshToken, sessionId, accessToken }: RefreshableSession): [object, Record<string, string>?] {
  if (refreshToken !== null) return [{ refresh_token: refreshToken }]
  return [{ session_id: sessionId }, { Authorization: `Bearer ${accessToken.value}` }]
}
