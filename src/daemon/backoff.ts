// Keeps a failing provider from being asked too often: exponential, with jitter, and never before its own Retry-After.
import type { Clock } from '../host/clock.ts'
import type { Random } from '../host/random.ts'

const FIRST = 0.5 // s; a blip is over by then, and no caller waits long
const LONGEST = 60 // s; a provider that comes back is found within a minute

export class Backoff {
  readonly #clock: Clock
  readonly #random: Random
  #failures = 0
  #until = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Seconds until the provider may be asked again; 0 where it may be now. */
  get remaining(): number {
    return Math.max(0, this.#until - this.#clock.monotonic())
  }

  failed(retryAfterSeconds = 0): void {
    const full = Math.min(LONGEST, FIRST * 2 ** Math.min(this.#failures++, 16))
    const least = Math.max(full / 2, retryAfterSeconds)
    // Jitter, so that ten thousand daemons do not come back in the same second, not even where all were told the same one.
    const spread = Math.min(least, LONGEST / 2)
    this.#until = this.#clock.monotonic() + least + spread * (this.#random(1).readUInt8() / 256)
  }

  succeeded(): void {
    this.#failures = 0
    this.#until = 0
  }
}
