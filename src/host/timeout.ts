// The one timeout for a promise that has none of its own.
import type { Clock } from './clock.ts'

/**
 * Settles as `promise` does, or rejects after `seconds`. The work behind the promise is not stopped: it may still
 * succeed, and a later rejection is ignored.
 * @param timeoutError makes the error that a timeout rejects with
 */
export function withTimeout<T>(
  clock: Clock,
  seconds: number,
  promise: Promise<T>,
  timeoutError: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(seconds, () => reject(timeoutError()))
    promise.finally(cancel).then(resolve, reject)
  })
}
