// A model of Clerk and of CADZERO's broker: tokens, the documented rate limit, an outage.
import { SessionEndedError, UnavailableError } from '../../src/clerk/errors.ts'
import type { Renewal } from '../../src/clerk/identity-provider.ts'
import { MIDNIGHT } from './machine-clock.ts'
import { PerSecond } from './per-second.ts'
import type { RandomStream } from './random-stream.ts'
import type { Timeline } from './timeline.ts'

export const RATE_LIMIT = 1000 // requests to the Backend API that Clerk allows a production instance in a window
export const WINDOW = 10 // s
const CHECK_SECONDS = 3600 // how often the broker reads the session as well as requesting a token: src/broker/grants.ts
const BROKER_RETRY_AFTER = 5 // s; the broker's Retry-After if Clerk sends none: src/broker/errors.ts

/** How a daemon refreshes. */
export type RefreshMethod = 'oauth' | 'broker'

export interface Outage {
  readonly start: number
  readonly end: number
}

export interface ClerkOptions {
  readonly method: RefreshMethod
  /** The lifetime of a token in seconds. */
  readonly lifetime: number
  /** Requests to the Backend API that are allowed in a window; infinite to measure the demand. */
  readonly rateLimit: number
  readonly outage: Outage | undefined
  readonly timeline: Timeline
}

/** What Clerk knows about a user. */
export interface Account {
  readonly user: number
  /** Determines how long each response takes. */
  readonly random: RandomStream
  /** The number of the newest refresh token, the only valid one. */
  serial: number
  issuedAt: number
  /** When the broker last read the session. */
  checkedAt: number
}

export function newAccount(user: number, random: RandomStream): Account {
  return { user, random, serial: 0, issuedAt: Number.NEGATIVE_INFINITY, checkedAt: Number.NEGATIVE_INFINITY }
}

export function refreshTokenOf({ user, serial }: Account): string {
  return `r${user}.${serial}`
}

export class Clerk {
  readonly #options: ClerkOptions
  #window = -1
  #used = 0
  /** The shortest time between two tokens of the same user, in seconds. */
  shortestInterval = Number.POSITIVE_INFINITY
  /** Refresh requests. */
  readonly requests = new PerSecond()
  /** Requests to the Backend API, including those with the response 429. */
  readonly apiCalls = new PerSecond()
  /** Refresh requests with the response 429. */
  readonly rateLimited = new PerSecond()

  constructor(options: ClerkOptions) {
    this.#options = options
  }

  /** Refreshes a token; the promise settles when the response would have arrived. @throws SessionEndedError, UnavailableError */
  refresh(account: Account, refreshToken: string | null): Promise<Renewal> {
    const { timeline } = this.#options
    const receivedAt = timeline.now + account.random.between(0.15, 0.5)
    this.requests.add(timeline.now)
    let response: Renewal | Error
    try {
      response = this.#respond(account, refreshToken, receivedAt)
    } catch (error) {
      response = error as Error
    }
    return new Promise((resolve, reject) => {
      timeline.at(receivedAt, () => (response instanceof Error ? reject(response) : resolve(response)))
    })
  }

  #respond(account: Account, refreshToken: string | null, receivedAt: number): Renewal {
    const { method, lifetime, outage, timeline } = this.#options
    const fails = outage !== undefined && timeline.now >= outage.start && timeline.now < outage.end
    if (fails) throw new UnavailableError('server', method === 'broker' ? BROKER_RETRY_AFTER : undefined)
    if (method === 'broker') this.#callAsBroker(account)
    if (refreshToken !== refreshTokenOf(account)) throw new SessionEndedError('session_revoked')
    this.shortestInterval = Math.min(this.shortestInterval, timeline.now - account.issuedAt)
    account.issuedAt = timeline.now
    account.serial++
    return {
      accessToken: { value: `t${account.serial}`, receivedAt: MIDNIGHT + receivedAt, lifetime },
      refreshToken: refreshTokenOf(account),
    }
  }

  #callAsBroker(account: Account): void {
    const { now } = this.#options.timeline
    this.#callApi()
    if (now - account.checkedAt < CHECK_SECONDS) return
    this.#callApi()
    account.checkedAt = now
  }

  /**
   * Clerk does not document how it counts its ten seconds. Here all users share fixed windows, so that rate-limited
   * daemons retry at the same time: the harder case.
   */
  #callApi(): void {
    const { rateLimit, timeline } = this.#options
    this.apiCalls.add(timeline.now)
    const window = Math.floor(timeline.now / WINDOW)
    if (window !== this.#window) {
      this.#window = window
      this.#used = 0
    }
    if (this.#used++ < rateLimit) return
    this.rateLimited.add(timeline.now)
    throw new UnavailableError('rate_limited', Math.ceil((window + 1) * WINDOW - timeline.now))
  }
}
