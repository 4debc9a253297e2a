// Speaks to CADZERO's broker: trades what we hold for a new session token, and ends the session at logout.
import * as v from 'valibot'
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import type { Session } from '../store/session.ts'
import { SessionEndedError, UnavailableError } from './errors.ts'
import type { Renewal } from './identity-provider.ts'
import { payload } from './jwt.ts'
import { AnswerWatch } from './response-watch.ts'

const answerSchema = v.object({
  token: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/), v.maxLength(16 * 1024)),
  expires_in: v.pipe(v.number(), v.finite(), v.minValue(1)),
  session_id: v.pipe(v.string(), v.minLength(1)),
  refresh_token: v.pipe(v.string(), v.minLength(1), v.maxLength(16 * 1024)),
  session_expires_at: v.optional(v.nullable(v.pipe(v.number(), v.finite(), v.minValue(0))), null),
})

/** What the broker is asked with: a session of ours, or one that is just being handed over. */
export type Held = Pick<Session, 'accessToken' | 'refreshToken' | 'sessionId' | 'user'>

const ENDED_SLACK = 60 // s; a session that ends within this of its known end has run out, and was not taken away

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
   * A new session token, and what to ask with the next time. The first time it asks with the session token itself.
   * @param knownEnd Unix seconds at which the session was said to end
   * @throws SessionEndedError, RejectedError, UnavailableError
   */
  async refresh(held: Held, knownEnd: number | null): Promise<Renewal> {
    const watch = new AnswerWatch(this.#fetch, this.#clock)
    let answer: v.InferOutput<typeof answerSchema>
    try {
      const response = await this.#post(watch.fetch, '/api/auth/refresh', ...credentials(held))
      answer = v.parse(answerSchema, await response.json())
    } catch {
      throw this.#why(watch.failure(), knownEnd)
    }
    // A mix-up at the broker must not sign this person in as another.
    const isOurs = answer.session_id === held.sessionId && payload(answer.token)?.sub === held.user.id
    if (!isOurs) throw new UnavailableError('server')
    return {
      accessToken: { value: answer.token, receivedAt: this.#clock.now(), lifetime: answer.expires_in },
      refreshToken: answer.refresh_token,
      sessionExpiresAt: answer.session_expires_at,
    }
  }

  /** Ends the session at Clerk. False where the broker could not confirm that. Never throws. */
  async revoke(refreshToken: string): Promise<boolean> {
    try {
      const response = await this.#post(this.#fetch, '/api/auth/logout', { refresh_token: refreshToken })
      const answer: unknown = await response.json()
      return typeof answer === 'object' && answer !== null && 'revoked' in answer && answer.revoked === true
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
    if (response.status !== 200) throw new UnavailableError('server') // the watch knows better which
    return response
  }

  #why(failure: Error, knownEnd: number | null): Error {
    const hasRunOut = knownEnd !== null && this.#clock.now() >= knownEnd - ENDED_SLACK
    return failure instanceof SessionEndedError && hasRunOut ? new SessionEndedError('session_expired') : failure
  }
}

function credentials({ refreshToken, sessionId, accessToken }: Held): [object, Record<string, string>?] {
  if (refreshToken !== null) return [{ refresh_token: refreshToken }]
  return [{ session_id: sessionId }, { Authorization: `Bearer ${accessToken.value}` }]
}
