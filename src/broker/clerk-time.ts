// The broker's time: Clerk's, by the `Date` of its last answer and the monotonic clock since then.
//
// The clock of this computer may be days off, or jump. It only checks Clerk's time: while the two disagree, one of them is wrong,
// and no session is refused by time. Copies with different clocks agree, since all of them follow Clerk.
import type { CancelTimer, Clock } from '../host/clock.ts'
import type { ClerkCalls } from './clerk-calls.ts'
import { BrokerError, OutdatedError } from './errors.ts'

interface Sample {
  /** Clerk's time as Unix time in seconds, when the monotonic clock was at `at`. */
  readonly time: number
  readonly at: number
  /** Seconds that this computer's clock was ahead of it. */
  readonly offset: number
}

export interface ClerkTimeOptions {
  /** Of this computer. */
  readonly clock: Clock
  /** Sends Clerk a request whose answer is observed. @throws BrokerError */
  readonly ask: () => Promise<void>
  /** Called when this computer's clock begins to disagree with Clerk's, and when it agrees again. @param offset seconds ahead */
  readonly onChange: (isRight: boolean, offset: number) => void
}

const TOLERANCE = 5 // s; `Date` counts whole seconds, and an answer takes up to 5 s
const LARGEST_OFFSET = 300 // s; as much as Kerberos allows. A clock that a time server keeps is never off by more
const RETRY_SECONDS = 1 // after Clerk could not be asked
const RECHECK_SECONDS = 10 // while the clocks disagree: the wrong one may be Clerk's, or a proxy's
const FIX_SECONDS = 60 // until clients try again: a person has to set the clock

export class ClerkTime implements Clock {
  readonly #options: ClerkTimeOptions
  #sample: Sample | undefined
  #wasRight = true
  #nextAskAt = Number.NEGATIVE_INFINITY

  constructor(options: ClerkTimeOptions) {
    this.#options = options
  }

  /** Clerk's time; this computer's while both are the same but for the precision of `Date`, or Clerk's is not known. */
  now(): number {
    const own = this.#options.clock.now()
    const offset = this.offset()
    return offset === undefined || Math.abs(offset) <= TOLERANCE ? own : own - offset
  }

  monotonic(): number {
    return this.#options.clock.monotonic()
  }

  after(seconds: number, action: () => void): CancelTimer {
    return this.#options.clock.after(seconds, action)
  }

  wait(seconds: number): Promise<void> {
    return this.#options.clock.wait(seconds)
  }

  /** Seconds that this computer's clock is ahead of Clerk's; undefined if Clerk's time is not known. */
  offset(): number | undefined {
    const { clock } = this.#options
    return this.#sample && clock.now() - (this.#sample.time + clock.monotonic() - this.#sample.at)
  }

  /** Whether this computer's clock and Clerk's are known to agree. */
  isRight(): boolean {
    const offset = this.offset()
    return offset !== undefined && Math.abs(offset) <= LARGEST_OFFSET
  }

  /** Reads the time from each successful answer. */
  observing(calls: ClerkCalls): ClerkCalls {
    return async (request, signal) => {
      const { clock } = this.#options
      const sentAt = clock.monotonic()
      const response = await calls(request, signal)
      const isClerks = response.status >= 200 && response.status < 300 // another one may be a proxy's
      if (isClerks && response.date !== undefined) this.#observe(response.date, clock.monotonic() - sentAt)
      return response
    }
  }

  /**
   * Makes sure that Clerk's time is known: asks Clerk if it has not answered yet, if one of the clocks has jumped since, and
   * now and then while they disagree. A request that needs this fails without Clerk anyway.
   * @throws BrokerError if Clerk's time cannot be known
   */
  async settle(): Promise<void> {
    if (this.#isSampleGood() && !this.#isRecheckDue()) return
    const { clock, ask } = this.#options
    const unknown = () => new BrokerError('temporarily_unavailable', 'clock_unknown', RETRY_SECONDS)
    if (clock.monotonic() < this.#nextAskAt) throw unknown()
    const failure = await ask().then(unknown, (error: unknown) => error)
    if (this.#isSampleGood()) return // whatever else the answer says
    this.#nextAskAt = clock.monotonic() + RETRY_SECONDS
    throw failure
  }

  /** What an error means: while the clocks disagree, a refusal by time is the operator's, and ends no session. */
  judge(error: unknown): unknown {
    const isUndecided = error instanceof OutdatedError && !this.isRight()
    return isUndecided ? new BrokerError('temporarily_unavailable', 'clock_wrong', FIX_SECONDS) : error
  }

  /** If the two clocks have not run alike since the sample, one has jumped, or the computer has slept. */
  #isSampleGood(): boolean {
    const offset = this.offset()
    return offset !== undefined && Math.abs(offset - (this.#sample?.offset ?? 0)) <= TOLERANCE
  }

  #isRecheckDue(): boolean {
    const age = this.#options.clock.monotonic() - (this.#sample?.at ?? 0)
    return !this.isRight() && age >= RECHECK_SECONDS
  }

  #observe(date: number, seconds: number): void {
    const { clock, onChange } = this.#options
    const time = date + 0.5 + seconds / 2 // on average: a whole second, sent halfway
    const offset = clock.now() - time
    this.#sample = { time, at: clock.monotonic(), offset }
    const isRight = this.isRight()
    if (isRight !== this.#wasRight) onChange(isRight, offset)
    this.#wasRight = isRight
  }
}
