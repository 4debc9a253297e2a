// Carries a session beyond the instance's limit: Clerk's custom session limits, a feature of some plans and newer APIs.
import type { Clock } from '../host/clock.ts'
import type { ClerkApi } from './clerk-api.ts'
import { ClerkRejection } from './clerk-errors.ts'
import { type ClerkSession, parseSession, sessionPath } from './clerk-session.ts'
import { BrokerError } from './errors.ts'

export interface SessionExtensionOptions {
  readonly api: ClerkApi
  /** How far ahead the end of an active session is kept, in seconds; undefined extends none. */
  readonly sessionSeconds: number | undefined
  readonly clock: Clock
  /** Called once for each status with which Clerk refuses. */
  readonly onRefused: (status: number) => void
}

const DAY = 86_400 // s; a session is extended at most once in a day
const PAUSE = 3600 // s; an instance that refuses is left alone

export class SessionExtension {
  readonly #options: SessionExtensionOptions
  readonly #reported = new Set<number>()
  #pausedUntil = Number.NEGATIVE_INFINITY

  constructor(options: SessionExtensionOptions) {
    this.#options = options
  }

  /**
   * Whether a session with this end is to be extended now.
   * @param chainEndsAt the end of the grant: no session lives longer because of the broker. Unix times in seconds
   */
  isDue(sessionExpiresAt: number, chainEndsAt: number): boolean {
    const { clock } = this.#options
    const target = this.#targetOf(chainEndsAt)
    return target !== undefined && clock.monotonic() >= this.#pausedUntil && target - sessionExpiresAt >= DAY
  }

  /** Returns the session's end in Unix seconds: a later one if Clerk extended it. It never fails a refresh. */
  async extend(session: ClerkSession, chainEndsAt: number): Promise<number> {
    const { expiresAt, isImpersonated } = session
    if (isImpersonated) return expiresAt // Clerk keeps these short on purpose
    const target = this.#targetOf(chainEndsAt)
    if (target === undefined || !this.isDue(expiresAt, chainEndsAt)) return expiresAt
    try {
      const extended = await this.#send(session, target)
      if (extended.expiresAt > expiresAt) return extended.expiresAt
      this.#pause(200) // the instance ignores what it does not know
    } catch (error) {
      // A plan without the feature, or an API without the method. Other failures are tried again at the next refresh.
      if (error instanceof ClerkRejection) this.#pause(error.status)
      else if (!(error instanceof BrokerError)) throw error
    }
    return expiresAt
  }

  #targetOf(chainEndsAt: number): number | undefined {
    const { sessionSeconds, clock } = this.#options
    return sessionSeconds === undefined ? undefined : Math.floor(Math.min(clock.now() + sessionSeconds, chainEndsAt))
  }

  async #send({ id, unit }: ClerkSession, target: number): Promise<ClerkSession> {
    const body = { expire_at: unit === 'milliseconds' ? target * 1000 : target }
    return parseSession(
      await this.#options.api.send({ operation: 'extend', method: 'PATCH', target: sessionPath(id), body }),
      id,
    )
  }

  #pause(status: number): void {
    this.#pausedUntil = this.#options.clock.monotonic() + PAUSE
    if (this.#reported.has(status)) return
    this.#reported.add(status)
    this.#options.onRefused(status)
  }
}
