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
  #wallUntil = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Seconds until the provider may be asked again; 0 where it may be now. */
  get remaining(): number {
    const remaining = this.#until - this.#clock.monotonic()
    // A machine that has slept has waited, though its monotonic clock stood still.
    return remaining <= 0 ? 0 : Math.max(0, Math.min(remaining, this.#wallUntil - this.#clock.now()))
  }

  failed(retryAfterSeconds = 0): void {
    const full = Math.min(LONGEST, FIRST * 2 ** Math.min(this.#failures++, 16))
    const least = Math.max(full / 2, retryAfterSeconds)
    // Jitter, so that ten thousand daemons do not come back in the same second, not even where all were told the same one.
    const spread = Math.min(least, LONGEST / 2)
    const wait = least + spread * (this.#random(2).readUInt16BE() / 2 ** 16)
    this.#until = this.#clock.monotonic() + wait
    this.#wallUntil = this.#clock.now() + wait
  }

  succeeded(): void {
    this.#failures = 0
    this.#until = 0
  }
}
