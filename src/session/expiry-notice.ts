// Tells clients one day and one hour before a session ends, once each, so that a person can sign in at a good moment.
import type { CancelTimer, Clock } from '../host/clock.ts'

const NOTICES = [3600, 86_400] // s before the end; the shortest first
const LONGEST_WAIT = 6 * 3600 // s; timers sleep with the machine, so the wall clock is looked at again after this
const SAME_END = 60 // s; an end that moves by less is the same end

export class ExpiryNotice {
  readonly #clock: Clock
  readonly #notify: (sessionExpiresAt: number, inSeconds: number) => void
  #end: number | null = null
  /** The shortest notice that has been given for this end, in seconds before it. */
  #given = Number.POSITIVE_INFINITY
  #cancelTimer: CancelTimer = () => undefined

  constructor(clock: Clock, notify: (sessionExpiresAt: number, inSeconds: number) => void) {
    this.#clock = clock
    this.#notify = notify
  }

  /** @param sessionExpiresAt Unix seconds; null if no end is known, or no session is there */
  watch(sessionExpiresAt: number | null): void {
    if (!this.#isSame(sessionExpiresAt)) this.#given = this.#givenAtMove(sessionExpiresAt)
    this.#end = sessionExpiresAt
    this.#look()
  }

  #isSame(end: number | null): boolean {
    return end !== null && this.#end !== null && Math.abs(end - this.#end) < SAME_END
  }

  /** An end that each refresh moves on by some hours must not bring a notice with each refresh. */
  #givenAtMove(end: number | null): number {
    if (end === null || this.#end === null || end < this.#end) return Number.POSITIVE_INFINITY
    return NOTICES.find((before) => end - this.#clock.now() <= before) ?? Number.POSITIVE_INFINITY
  }

  #look(): void {
    this.#cancelTimer()
    if (this.#end === null) return
    const left = this.#end - this.#clock.now()
    if (left <= 0) return
    const due = NOTICES.find((before) => left <= before)
    if (due !== undefined && due < this.#given) {
      this.#given = due
      this.#notify(this.#end, Math.round(left))
    }
    const next = NOTICES.filter((before) => before < left && before < this.#given).at(-1)
    if (next === undefined) return
    this.#cancelTimer = this.#clock.after(Math.min(left - next, LONGEST_WAIT), () => this.#look())
  }
}
