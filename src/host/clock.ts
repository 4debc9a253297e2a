// The only access to time: wall clock, monotonic clock and timers.

/** Stops a timer, unless it has fired. */
export type CancelTimer = () => void

export interface Clock {
  /** The wall clock: Unix time in seconds, with a fraction. It may jump. */
  now(): number
  /** Seconds since an arbitrary start. It never goes back, but may pause while the machine sleeps. */
  monotonic(): number
  /** Runs `action` once after `seconds`. The timer does not keep the process alive. */
  after(seconds: number, action: () => void): CancelTimer
  /** Resolves after `seconds`, and keeps the process alive until then. */
  wait(seconds: number): Promise<void>
}

const LONGEST_TIMER = 2 ** 31 - 1 // ms; setTimeout fires at once for a longer time

export const systemClock: Clock = {
  now: () => Date.now() / 1000,
  monotonic: () => performance.now() / 1000,
  after(seconds, action) {
    const timer = setTimeout(action, milliseconds(seconds))
    timer.unref()
    return () => clearTimeout(timer)
  },
  wait: (seconds) => new Promise((resolve) => setTimeout(resolve, milliseconds(seconds))),
}

function milliseconds(seconds: number): number {
  return Math.min(Math.max(0, seconds * 1000), LONGEST_TIMER)
}
