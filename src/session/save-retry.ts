// Does again what has failed, later and later, until it is no longer wanted.
import type { CancelTimer, Clock } from '../host/clock.ts'

const FIRST = 2 // s
const LONGEST = 60 // s; a disk that has room again is found within a minute

export class Retry {
  readonly #clock: Clock
  readonly #action: () => void
  #next = FIRST
  #cancel: CancelTimer | undefined

  constructor(clock: Clock, action: () => void) {
    this.#clock = clock
    this.#action = action
  }

  /** Sees to it that it is tried again. Harmless where that is so already. */
  arm(): void {
    if (this.#cancel) return
    this.#cancel = this.#clock.after(this.#next, () => {
      this.#cancel = undefined
      this.#next = Math.min(LONGEST, this.#next * 2)
      this.#action()
    })
  }

  /** It has succeeded, or is not wanted any more. */
  disarm(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#next = FIRST
  }
}
