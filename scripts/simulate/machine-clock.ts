// The clock of one machine: all machines share the wall clock; the monotonic clock pauses while this machine sleeps.
import type { CancelTimer, Clock } from '../../src/host/clock.ts'
import type { Timeline } from './timeline.ts'

export const MIDNIGHT = 1_800_057_600 // Unix time of an arbitrary midnight, in seconds
const STARTED_BEFORE = 86_400 // s; the machine started yesterday, since a monotonic clock is never negative

export class MachineClock implements Clock {
  readonly #timeline: Timeline
  #slept = 0

  constructor(timeline: Timeline) {
    this.#timeline = timeline
  }

  now(): number {
    return MIDNIGHT + this.#timeline.now
  }

  monotonic(): number {
    return STARTED_BEFORE + this.#timeline.now - this.#slept
  }

  after(seconds: number, action: () => void): CancelTimer {
    const due = this.monotonic() + seconds
    let cancelled = false
    const fire = () => {
      if (cancelled) return
      const left = due - this.monotonic() // more than 0 if the machine has slept since
      if (left > 1e-6) this.#timeline.at(this.#timeline.now + left, fire)
      else action()
    }
    this.#timeline.at(this.#timeline.now + seconds, fire)
    return () => {
      cancelled = true
    }
  }

  wait(seconds: number): Promise<void> {
    return new Promise((resolve) => this.after(seconds, resolve))
  }

  /** The machine wakes up after this many seconds of sleep. */
  wakeAfter(seconds: number): void {
    this.#slept += seconds
  }
}
