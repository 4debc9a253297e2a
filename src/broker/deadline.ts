// Puts an end to waiting: Clerk's SDK has no deadline of its own, and a server that hangs would hang its callers.
import type { Clock } from '../host/clock.ts'

/** The call was not answered in time. It may still be under way. */
export class DeadlineError extends Error {
  constructor() {
    super('no answer in time')
    this.name = 'DeadlineError'
  }
}

/** @param seconds for the whole call @throws DeadlineError, or what the call throws */
export async function withDeadline<T>(clock: Clock, seconds: number, call: () => Promise<T>): Promise<T> {
  let cancel: () => void = () => undefined
  const late = new Promise<never>((_resolve, reject) => {
    cancel = clock.after(seconds, () => reject(new DeadlineError()))
  })
  const answer = call()
  answer.catch(() => undefined) // it may fail when nobody waits any more
  try {
    return await Promise.race([answer, late])
  } finally {
    cancel()
  }
}
