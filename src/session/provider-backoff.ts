// Pauses requests to a failing provider: exponential, with jitter, never shorter than its own Retry-After.
import { RejectedError, UnavailableError } from '../clerk/errors.ts'
import type { Clock } from '../host/clock.ts'
import type { Random } from '../host/random.ts'

const FIRST_SECONDS = 0.5 // a blip is over by then, and no caller waits long
const LONGEST_SECONDS = 60 // a provider that recovers is noticed within a minute
const LONGEST_WITHOUT_NETWORK_SECONDS = 1 // a laptop that wakes up: no request has reached the provider, so none burdens it
const MOST_DOUBLINGS = 16 // beyond that the product only overflows

export class ProviderBackoff {
  readonly #clock: Clock
  readonly #random: Random
  #failure: UnavailableError | RejectedError | undefined
  #failures = 0
  #until = 0
  #wallUntil = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Seconds until the provider may be asked again; 0 if it may be asked now. */
  get remainingSeconds(): number {
    const remaining = this.#until - this.#clock.monotonic()
    // A machine that has slept has waited, although its monotonic clock stood still.
    return remaining <= 0 ? 0 : Math.max(0, Math.min(remaining, this.#wallUntil - this.#clock.now()))
  }

  /** The last failure while the pause lasts, with the seconds that are left; undefined if the provider may be asked. */
  get failure(): UnavailableError | RejectedError | undefined {
    const seconds = this.remainingSeconds
    const failure = seconds === 0 ? undefined : this.#failure
    if (!(failure instanceof UnavailableError)) return failure
    return new UnavailableError(failure.reason, Math.ceil(seconds), failure.failure)
  }

  /**
   * Starts or prolongs the pause if the error is about the provider.
   * @returns whether it is
   */
  failed(error: unknown): boolean {
    if (!(error instanceof UnavailableError || error instanceof RejectedError)) return false
    this.#failure = error
    if (!(error instanceof UnavailableError)) this.#pause(LONGEST_SECONDS)
    else
      this.#pause(isWithoutNetwork(error) ? LONGEST_WITHOUT_NETWORK_SECONDS : LONGEST_SECONDS, error.retryAfterSeconds)
    return true
  }

  reset(): void {
    this.#failures = 0
    this.#until = 0
  }

  #pause(longest: number, retryAfterSeconds = 0): void {
    const full = Math.min(longest, FIRST_SECONDS * 2 ** Math.min(this.#failures++, MOST_DOUBLINGS))
    const least = Math.max(full / 2, retryAfterSeconds)
    // Jitter also above a Retry-After, so that ten thousand daemons that were told the same second do not share it.
    const spread = Math.min(least, LONGEST_SECONDS / 2)
    const seconds = least + spread * (this.#random(2).readUInt16BE() / 2 ** 16)
    this.#until = this.#clock.monotonic() + seconds
    this.#wallUntil = this.#clock.now() + seconds
  }
}

function isWithoutNetwork({ failure }: UnavailableError): boolean {
  return failure?.cause === 'dns' || failure?.cause === 'refused'
}
