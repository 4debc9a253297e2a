// How long an access token is still good, on the wall clock and on the monotonic clock: whichever says less.
import type { Clock } from '../host/clock.ts'
import type { Session } from '../store/session.ts'

const REFRESH_AHEAD = 0.8 // a 60 s token still has 12 s: longer than any refresh that we wait for
const LONGEST_LIFETIME = 10 * 365 * 86_400 // s; what Clerk allows at most. A provider's 1e12 must not end in a wild date
const SET_BACK = 5 // s; a token from the future by more than this means that the clock was set back while we were off

export class Validity {
  readonly #clock: Clock
  readonly #lifetime: number
  /** Unix seconds, rounded down. */
  readonly expiresAt: number
  readonly #monotonicEnd: number

  constructor(token: Session['accessToken'], clock: Clock) {
    this.#clock = clock
    this.#lifetime = Math.min(token.lifetime, LONGEST_LIFETIME)
    this.expiresAt = Math.floor(token.receivedAt + this.#lifetime)
    const age = clock.now() - token.receivedAt
    const left = age < -SET_BACK ? 0 : this.#lifetime - Math.max(0, age)
    this.#monotonicEnd = clock.monotonic() + left
  }

  /** Seconds; 0 or less where the token has expired. */
  get remaining(): number {
    return Math.min(this.expiresAt - this.#clock.now(), this.#monotonicEnd - this.#clock.monotonic())
  }

  /** Whether it is good for so many seconds more. More than half of its whole life counts as that half. */
  lasts(seconds: number, remaining = this.remaining): boolean {
    return remaining > 0 && remaining >= Math.min(seconds, this.#lifetime / 2)
  }

  /** Whether so much of its life is over that a new one should be fetched behind the answers. */
  isAgeing(remaining = this.remaining): boolean {
    return remaining < this.#lifetime * (1 - REFRESH_AHEAD)
  }
}
