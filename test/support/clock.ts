// A clock that only a test moves. The wall clock and the monotonic clock advance together, unless the test changes one.
import type { Clock } from '../../src/host/clock.ts'

interface Timer {
  readonly at: number
  readonly action: () => void
}

export class TestClock implements Clock {
  #wall: number
  #monotonic = 1000
  readonly #timers = new Set<Timer>()

  constructor(wall = 1_800_000_000) {
    this.#wall = wall
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  after(seconds: number, action: () => void): () => void {
    const timer = { at: this.#monotonic + seconds, action }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  wait(seconds: number): Promise<void> {
    return new Promise((resolve) => this.after(seconds, resolve))
  }

  /** Advances both clocks. The timers that are due fire in order. */
  advance(seconds: number): void {
    const end = this.#monotonic + seconds
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (!due) break
      this.#timers.delete(due)
      this.#wall += due.at - this.#monotonic
      this.#monotonic = due.at
      due.action()
    }
    this.#wall += end - this.#monotonic
    this.#monotonic = end
  }

  /** Sets only the wall clock back, as a user or a time server does. */
  setBack(seconds: number): void {
    this.#wall -= seconds
  }

  /** The machine sleeps: the wall clock advances, the monotonic clock does not. */
  sleep(seconds: number): void {
    this.#wall += seconds
  }
}
