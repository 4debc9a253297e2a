// How many requests the broker serves for each user and each address: counted in memory, or in a Redis that the copies share.
import { createHmac } from 'node:crypto'
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
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
}

export interface LimitsPerMinute {
  readonly address: number
  readonly user: number
}

const WINDOW = 60 // s
const ADDRESS_BUCKETS = 2 ** 17 // about 30 MB at most, however many addresses a flood has

/**
 * Limits in fixed windows that begin with the first request of a key.
 * @param secret keeps others from choosing an address that shares its budget with someone else's
 * @param redis counts for all copies; while it does not respond, each copy counts by itself
 */
export function createLimits(perMinute: LimitsPerMinute, secret: Uint8Array, redis?: RedisClient): Limits {
  const limiters = {
    address: createLimiter('address', perMinute.address, WINDOW, redis),
    user: createLimiter('user', perMinute.user, WINDOW, redis),
  }
  return {
    take: (scope, key) => consume(limiters[scope], scope === 'address' ? bucketOf(key, secret) : key),
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
