// Repeats an action at growing intervals until it is cancelled.
import type { CancelTimer, Clock } from '../host/clock.ts'

const FIRST_SECONDS = 2
const LONGEST_SECONDS = 60 // a disk that has room again is noticed within a minute

export class RetryTimer {
  readonly #clock: Clock
  readonly #action: () => void
  #nextSeconds = FIRST_SECONDS
  #cancelTimer: CancelTimer | undefined

  constructor(clock: Clock, action: () => void) {
    this.#clock = clock
    this.#action = action
  }

  /** Schedules the next run, unless one is scheduled already. */
  schedule(): void {
    if (this.#cancelTimer) return
    this.#cancelTimer = this.#clock.after(this.#nextSeconds, () => {
      this.#cancelTimer = undefined
      this.#nextSeconds = Math.min(LONGEST_SECONDS, this.#nextSeconds * 2)
      this.#action()
    })
  }

  /** Cancels the scheduled run and starts again with the shortest interval. */
  cancel(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#nextSeconds = FIRST_SECONDS
  }
}
