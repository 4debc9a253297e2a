// Limits how often something may be done: a bucket of so many a minute for each key, in memory and best effort for each copy.
import type { Clock } from '../host/clock.ts'

const MOST_KEYS = 100_000 // some 10 MB; the oldest goes first, and is then merely not limited

interface Bucket {
  left: number
  at: number
}

export class Limiter {
  readonly #perMinute: number
  readonly #clock: Clock
  readonly #buckets = new Map<string, Bucket>()

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute
    this.#clock = clock
  }

  /** Takes one. Gives 0, or, where there is none left, the seconds until there is. */
  take(key: string): number {
    const now = this.#clock.monotonic()
    const rate = this.#perMinute / 60
    const bucket = this.#buckets.get(key) ?? { left: this.#perMinute, at: now }
    bucket.left = Math.min(this.#perMinute, bucket.left + (now - bucket.at) * rate)
    bucket.at = now
    this.#buckets.delete(key) // and set anew: the map's order is that of the last use
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > MOST_KEYS)
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest)
        break
      }
    if (bucket.left < 1) return Math.ceil((1 - bucket.left) / rate)
    bucket.left--
    return 0
  }
}
