// How many requests the broker serves: by default a token bucket per key, in the memory of this copy.
import type { Clock } from '../host/clock.ts'
import { RateLimiter } from './limiter.ts'

/** `address`: every request of a client's address; `user`: the requests that have proven to come from a user. */
export type LimitScope = 'address' | 'user'

export interface Limits {
  /**
   * Takes one request from the budget of a key. It never throws: a store that fails must not refuse honest users.
   * @returns 0, or the seconds until the next request is allowed
   */
  take(scope: LimitScope, key: string): Promise<number>
}

export interface LimitsPerMinute {
  readonly address: number
  readonly user: number
}

export class MemoryLimits implements Limits {
  readonly #limiters: Readonly<Record<LimitScope, RateLimiter>>

  constructor(perMinute: LimitsPerMinute, clock: Clock) {
    this.#limiters = {
      address: new RateLimiter(perMinute.address, clock),
      user: new RateLimiter(perMinute.user, clock),
    }
  }

  async take(scope: LimitScope, key: string): Promise<number> {
    return this.#limiters[scope].consume(key)
  }
}
