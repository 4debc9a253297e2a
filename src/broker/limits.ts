// How many requests the broker serves for each user and each address: counted in memory, or in a Redis that the copies share.
import { createHmac } from 'node:crypto'
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import type { Clock } from '../host/clock.ts'
import { networkOf } from './client-address.ts'
import type { RedisClient } from './redis.ts'

/** `address`: every request of a client's address; `user`: the requests that have proven to come from a user. */
export type LimitScope = 'address' | 'user'

export interface Limits {
  /**
   * Takes one request from the budget of a key. It never throws: a store that fails must not refuse honest users.
   * @returns 0, or the seconds until the next request is allowed
   */
  take(scope: LimitScope, key: string): Promise<number>
  /** The seconds for which this copy knows that a key has no request left; 0 if it does not know. It takes none. */
  exceededFor?(scope: LimitScope, key: string): number
}

export interface LimitsPerMinute {
  readonly address: number
  readonly user: number
}

const MINUTE = 60 // s
const BURST = 10 // requests of a user at once, if the limit allows them: a sign-in takes three, on several computers
const ADDRESS_BUCKETS = 2 ** 17 // about 30 MB at most, however many addresses a flood has

/**
 * Limits in fixed windows that begin with the first request of a key: of a minute for an address, which may be that of an
 * office, and shorter ones at the same rate for a user, so that an account cannot spend all of its requests at once.
 * @param secret keeps others from choosing an address that shares its budget with someone else's
 * @param redis counts for all copies; while it does not respond, each copy counts by itself
 */
export function createLimits(
  perMinute: LimitsPerMinute,
  secret: Uint8Array,
  clock: Clock,
  redis?: RedisClient,
): Required<Limits> {
  const limiters = {
    address: createLimiter('address', perMinute.address, MINUTE, redis),
    user: createLimiter('user', ...burstOf(perMinute.user), redis),
  }
  const counterOf = (scope: LimitScope, key: string) => (scope === 'address' ? bucketOf(key, secret) : key)
  const exceeded = { address: new Exceeded(clock), user: new Exceeded(clock) }
  return {
    async take(scope, key) {
      const counter = counterOf(scope, key)
      const seconds = await consume(limiters[scope], counter)
      if (seconds > 0) exceeded[scope].add(counter, seconds)
      return seconds
    },
    exceededFor: (scope, key) => exceeded[scope].secondsOf(counterOf(scope, key)),
  }
}

/** Requests, and the seconds of their window: a sixth of a minute's, but ten at least. */
function burstOf(perMinute: number): [points: number, seconds: number] {
  const points = Math.min(perMinute, Math.max(BURST, Math.ceil(perMinute / 6)))
  return [points, Math.ceil((points / perMinute) * MINUTE)]
}

/** The counters that have no request left. */
class Exceeded {
  readonly #clock: Clock
  /** The end of the window, of the monotonic clock. */
  readonly #until = new Map<string, number>()
  #sweptAt: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#sweptAt = clock.monotonic()
  }

  add(counter: string, seconds: number): void {
    const now = this.#clock.monotonic()
    if (now - this.#sweptAt >= MINUTE) {
      this.#sweptAt = now
      for (const [one, until] of this.#until) if (until <= now) this.#until.delete(one)
    }
    this.#until.set(counter, now + seconds)
  }

  secondsOf(counter: string): number {
    return Math.max(0, Math.ceil((this.#until.get(counter) ?? 0) - this.#clock.monotonic()))
  }
}

function bucketOf(address: string, secret: Uint8Array): string {
  const digest = createHmac('sha256', secret).update(networkOf(address)).digest()
  return String(digest.readUInt32BE() % ADDRESS_BUCKETS)
}

/** @param seconds the length of a window */
export function createLimiter(name: string, points: number, seconds: number, redis?: RedisClient): RateLimiterAbstract {
  const options = { keyPrefix: `cadzero-broker:${name}`, points, duration: seconds }
  const ownLimiter = new RateLimiterMemory(options)
  if (!redis) return ownLimiter
  return new RateLimiterRedis({
    ...options,
    storeClient: redis,
    rejectIfRedisNotReady: true,
    insuranceLimiter: ownLimiter,
    inMemoryBlockOnConsumed: points, // a client that is over its limit costs Redis nothing more
  })
}

/** @returns 0, or the seconds until the key has a request left */
export async function consume(limiter: RateLimiterAbstract, key: string): Promise<number> {
  try {
    await limiter.consume(key)
    return 0
  } catch (error) {
    return error instanceof RateLimiterRes ? Math.max(1, Math.ceil(error.msBeforeNext / 1000)) : 0
  }
}
