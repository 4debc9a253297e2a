// Limits the rate of requests for each key by a token bucket, in the memory of this process.
import type { Clock } from '../host/clock.ts'

const MAX_KEYS = 100_000 // about 10 MB; beyond that, the key used longest ago is dropped and starts with a full bucket

interface Bucket {
  tokens: number
  refilledAt: number
}

export class RateLimiter {
  readonly #perMinute: number
  readonly #clock: Clock
  readonly #buckets = new Map<string, Bucket>()

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute
    this.#clock = clock
  }

  /** Takes a token from the key's bucket. Returns 0, or the seconds until the next token if the bucket is empty. */
  consume(key: string): number {
    const now = this.#clock.monotonic()
    const perSecond = this.#perMinute / 60
    const bucket = this.#buckets.get(key) ?? { tokens: this.#perMinute, refilledAt: now }
    bucket.tokens = Math.min(this.#perMinute, bucket.tokens + (now - bucket.refilledAt) * perSecond)
    bucket.refilledAt = now
    this.#buckets.delete(key) // then insert again: a Map iterates in insertion order, here the order of last use
    this.#buckets.set(key, bucket)
    const [oldest] = this.#buckets.size > MAX_KEYS ? this.#buckets.keys() : []
    if (oldest !== undefined) this.#buckets.delete(oldest)
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / perSecond)
    bucket.tokens--
    return 0
  }
}
