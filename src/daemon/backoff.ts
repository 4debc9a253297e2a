// Keeps a failing provider from being asked too often: exponential, with jitter, and never before its own Retry-After.
import type { Clock } from '../host/clock.ts'
import type { Random } from '../host/random.ts'

const FIRST = 0.5 // s; a blip is over by then, and no caller waits long
const LONGEST = 60 // s; a provider that comes back is found within a minute
const SPREAD = 0.1 // of a Retry-After: all who were told the same time must not come in the same second

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
    // Jitter, so that ten thousand daemons do not come back in the same second.
    const chance = this.#random(2).readUInt16BE() / 2 ** 16
    const spread = retryAfterSeconds + Math.max(full / 2, retryAfterSeconds * SPREAD) * chance
    const wait = Math.max(full * (0.5 + chance / 2), retryAfterSeconds > 0 ? spread : 0)
    this.#until = this.#clock.monotonic() + wait
    this.#wallUntil = this.#clock.now() + wait
  }

  succeeded(): void {
    this.#failures = 0
    this.#until = 0
  }
}
