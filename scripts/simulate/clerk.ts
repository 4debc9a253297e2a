// Clerk, and CADZERO's broker before it, as far as a fleet can feel them: tokens, the documented limit, an outage.
import { SessionEndedError, UnavailableError } from '../../src/clerk/errors.ts'
import type { Renewal } from '../../src/clerk/identity-provider.ts'
import type { Chance } from './chance.ts'
import { MIDNIGHT } from './machine-clock.ts'
import { PerSecond } from './per-second.ts'
import type { Timeline } from './timeline.ts'

export const LIMIT = 1000 // requests to the Backend API that a production instance may make in a window
export const WINDOW = 10 // s
export const CALLS_PER_RENEWAL = 2 // the broker asks for the session and for the token: src/broker/clerk.ts
const BROKER_RETRY_AFTER = 5 // s; what the broker says where Clerk says nothing: src/broker/errors.ts

export type Way = 'oauth' | 'broker'

export interface Outage {
  readonly start: number
  readonly end: number
}

export interface ClerkOptions {
  readonly way: Way
  readonly lifetime: number
  readonly limited: boolean
  readonly outage: Outage | undefined
  readonly timeline: Timeline
  readonly chance: Chance
}

export class Clerk {
  readonly #options: ClerkOptions
  /** The only refresh token of each person that is good now. */
  readonly #current: number[] = []
  readonly #issuedAt: number[] = []
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

  /** What a person has from before the day began. */
  refreshTokenOf(person: number): string {
    this.#current[person] = 0
    return refreshToken(person, 0)
  }

  /** A refresh, with its way there and back. @throws SessionEndedError, UnavailableError */
  refresh(person: number, refreshToken: string | null): Promise<Renewal> {
    const { timeline, chance } = this.#options
    const back = timeline.now + chance.between(0.15, 0.5)
    this.requests.add(timeline.now)
    let answer: Renewal | Error
    try {
      answer = this.#answer(person, refreshToken, back)
    } catch (error) {
      answer = error as Error
    }
    return new Promise((resolve, reject) => {
      timeline.at(back, () => (answer instanceof Error ? reject(answer) : resolve(answer)))
    })
  }

  #answer(person: number, shown: string | null, receivedAt: number): Renewal {
    const { way, lifetime, outage, timeline } = this.#options
    const fails = outage !== undefined && timeline.now >= outage.start && timeline.now < outage.end
    if (fails) throw new UnavailableError('server', way === 'broker' ? BROKER_RETRY_AFTER : undefined)
    if (way === 'broker') for (let call = 0; call < CALLS_PER_RENEWAL; call++) this.#callApi()
    const serial = this.#current[person] ?? 0
    if (shown !== refreshToken(person, serial)) throw new SessionEndedError('session_revoked')
    const next = serial + 1
    this.#current[person] = next
    const last = this.#issuedAt[person]
    if (last !== undefined) this.shortestInterval = Math.min(this.shortestInterval, timeline.now - last)
    this.#issuedAt[person] = timeline.now
    return {
      accessToken: { value: `t${next}`, receivedAt: MIDNIGHT + receivedAt, lifetime },
      refreshToken: refreshToken(person, next),
    }
  }

  /**
   * How Clerk counts its ten seconds is not documented. Here: one window after another, for all alike, which brings those
   * that were refused back together, and so is the harder test.
   */
  #callApi(): void {
    const { limited, timeline } = this.#options
    this.apiCalls.add(timeline.now)
    const window = Math.floor(timeline.now / WINDOW)
    if (window !== this.#window) {
      this.#window = window
      this.#used = 0
    }
    if (!limited || this.#used++ < LIMIT) return
    this.refused.add(timeline.now)
    throw new UnavailableError('rate_limited', Math.ceil((window + 1) * WINDOW - timeline.now))
  }
}

function refreshToken(person: number, serial: number): string {
  return `r${person}.${serial}`
}
