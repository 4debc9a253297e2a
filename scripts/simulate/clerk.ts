// Clerk, and CADZERO's broker before it, as far as a fleet can feel them: tokens, the documented limit, an outage.
import { SessionEndedError, UnavailableError } from '../../src/clerk/errors.ts'
import type { Renewal } from '../../src/clerk/identity-provider.ts'
import type { Chance } from './chance.ts'
import { MIDNIGHT } from './machine-clock.ts'
import { PerSecond } from './per-second.ts'
import type { Timeline } from './timeline.ts'

export const LIMIT = 1000 // requests to the Backend API that a production instance may make in a window
export const WINDOW = 10 // s
export const CALLS_PER_RENEWAL = 2 // the broker asks for the session and for the token: src/broker/clerk-sessions.ts
const BROKER_RETRY_AFTER = 5 // s; what the broker says where Clerk says nothing: src/broker/errors.ts

export type Way = 'oauth' | 'broker'

export interface Outage {
  readonly start: number
  readonly end: number
}

export interface ClerkOptions {
  readonly way: Way
  readonly lifetime: number
  /** Requests to the Backend API in a window; infinite to see what is asked for. */
  readonly limit: number
  readonly outage: Outage | undefined
  readonly timeline: Timeline
}

/** What Clerk knows of a person. */
export interface Account {
  readonly person: number
  /** How long answers take on their way to this person. */
  readonly chance: Chance
  /** Counts the refresh tokens; the newest alone is good. */
  serial: number
  issuedAt: number
}

export function newAccount(person: number, chance: Chance): Account {
  return { person, chance, serial: 0, issuedAt: Number.NEGATIVE_INFINITY }
}

export function refreshTokenOf({ person, serial }: Account): string {
  return `r${person}.${serial}`
}

export class Clerk {
  readonly #options: ClerkOptions
  #window = -1
  #used = 0
  /** Seconds between two tokens for the same person, at the least. */
  shortestInterval = Number.POSITIVE_INFINITY
  /** Refreshes that were asked for. */
  readonly requests = new PerSecond()
  /** Requests to the Backend API, those with a 429 too. */
  readonly apiCalls = new PerSecond()
  /** Refreshes that ended with a 429. */
  readonly refused = new PerSecond()

  constructor(options: ClerkOptions) {
    this.#options = options
  }

  /** A refresh, with its way there and back. @throws SessionEndedError, UnavailableError */
  refresh(account: Account, refreshToken: string | null): Promise<Renewal> {
    const { timeline } = this.#options
    const back = timeline.now + account.chance.between(0.15, 0.5)
    this.requests.add(timeline.now)
    let answer: Renewal | Error
    try {
      answer = this.#answer(account, refreshToken, back)
    } catch (error) {
      answer = error as Error
    }
    return new Promise((resolve, reject) => {
      timeline.at(back, () => (answer instanceof Error ? reject(answer) : resolve(answer)))
    })
  }

  #answer(account: Account, shown: string | null, receivedAt: number): Renewal {
    const { way, lifetime, outage, timeline } = this.#options
    const fails = outage !== undefined && timeline.now >= outage.start && timeline.now < outage.end
    if (fails) throw new UnavailableError('server', way === 'broker' ? BROKER_RETRY_AFTER : undefined)
    if (way === 'broker') for (let call = 0; call < CALLS_PER_RENEWAL; call++) this.#callApi()
    if (shown !== refreshTokenOf(account)) throw new SessionEndedError('session_revoked')
    this.shortestInterval = Math.min(this.shortestInterval, timeline.now - account.issuedAt)
    account.issuedAt = timeline.now
    account.serial++
    return {
      accessToken: { value: `t${account.serial}`, receivedAt: MIDNIGHT + receivedAt, lifetime },
      refreshToken: refreshTokenOf(account),
    }
  }

  /**
   * How Clerk counts its ten seconds is not documented. Here: one window after another, for all alike, which brings those
   * that were refused back together, and so is the harder test.
   */
  #callApi(): void {
    const { limit, timeline } = this.#options
    this.apiCalls.add(timeline.now)
    const window = Math.floor(timeline.now / WINDOW)
    if (window !== this.#window) {
      this.#window = window
      this.#used = 0
    }
    if (this.#used++ < limit) return
    this.refused.add(timeline.now)
    throw new UnavailableError('rate_limited', Math.ceil((window + 1) * WINDOW - timeline.now))
  }
}
