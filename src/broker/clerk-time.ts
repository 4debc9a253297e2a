// The broker's time: Clerk's, by the `Date` of its last answer and the monotonic clock since then.
//
// The clock of this computer may be days off, or jump. It only checks Clerk's time: while the two disagree, one of them is wrong,
// and no session is refused by time. Copies with different clocks agree, since all of them follow Clerk.
import type { CancelTimer, Clock } from '../host/clock.ts'
import type { ClerkCalls, ClerkResponse } from './clerk-calls.ts'
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
/** Seconds by which the times of two copies may differ: each is Clerk's but for the tolerance. */
export const COPIES_DIFFER = 2 * TOLERANCE + 5
const LARGEST_OFFSET = 300 // s; as much as Kerberos allows. A clock that a time server keeps is never off by more
const RETRY_SECONDS = 1 // after Clerk could not be asked
const RECHECK_SECONDS = 10 // without an answer while the clocks differ: the wrong one may be Clerk's, or a proxy's
const LATEST_DATE = 253_402_300_799 // s; the end of the year 9999, the last that `Date` can state
const LONGEST_AGE = 86_400 // s; an answer that a cache has kept for longer tells no time
const FIX_SECONDS = 60 // until clients try again: a person has to set the clock

export class ClerkTime implements Clock {
  readonly #options: ClerkTimeOptions
  #sample: Sample | undefined
  #askedAt = Number.NEGATIVE_INFINITY
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
    return offset !== undefined && isWithin(offset)
  }

  /** Reads the time from each successful answer. */
  observing(calls: ClerkCalls): ClerkCalls {
    return async (request, signal) => {
      const { clock } = this.#options
      const [sentAt, ownSentAt] = [clock.monotonic(), clock.now()]
      const response = await calls(request, signal)
      const isClerks = response.status >= 200 && response.status < 300 // another one may be a proxy's
      const seconds = clock.monotonic() - sentAt
      const hasJumped = Math.abs(clock.now() - ownSentAt - seconds) > TOLERANCE // or slept: the answer may be hours old
      if (isClerks && !hasJumped) this.#observe(response, seconds)
      return response
    }
  }

  /**
   * Makes sure that Clerk's time is known: asks Clerk if it has not answered yet, if one of the clocks has jumped since, and
   * now and then while they differ. A request that needs this fails without Clerk anyway.
   * @throws BrokerError if Clerk's time cannot be known
   */
  async settle(): Promise<void> {
    const isGood = this.#isSampleGood()
    if (isGood && !this.#isRecheckDue()) return
    const { clock, ask } = this.#options
    const unknown = () => new BrokerError('temporarily_unavailable', 'clock_unknown', RETRY_SECONDS)
    if (!isGood && clock.monotonic() < this.#nextAskAt) throw unknown()
    this.#askedAt = clock.monotonic()
    const failure = await ask().then(unknown, (error: unknown) => error)
    if (this.#isSampleGood()) return // whatever else the answer says
    this.#nextAskAt = clock.monotonic() + RETRY_SECONDS
    throw failure
  }

  /** What an error means: while the clocks disagree, a refusal by time is the operator's, and ends no session. */
  judge(error: unknown): unknown {
    if (!(error instanceof OutdatedError)) return error
    // An answer of Clerk's may have set the time right after the refusal.
    const isDecided = this.isRight() && isWithin(error.at - this.now())
    return isDecided ? error : new BrokerError('temporarily_unavailable', 'clock_wrong', FIX_SECONDS)
  }

  /** If the two clocks have not run alike since the sample, one has jumped, or the computer has slept. */
  #isSampleGood(): boolean {
    const offset = this.offset()
    return offset !== undefined && Math.abs(offset - (this.#sample?.offset ?? 0)) <= TOLERANCE
  }

  #isRecheckDue(): boolean {
    const lastAt = Math.max(this.#askedAt, this.#sample?.at ?? 0) // an answer may tell no time
    const isEqual = Math.abs(this.offset() ?? 0) <= TOLERANCE
    return !isEqual && this.#options.clock.monotonic() - lastAt >= RECHECK_SECONDS
  }

  #observe({ date, ageSeconds: age = 0 }: ClerkResponse, seconds: number): void {
    // An operator's own `calls` may state milliseconds.
    if (date === undefined || !(date > 0 && date <= LATEST_DATE) || !(age >= 0 && age <= LONGEST_AGE)) return
    const { clock, onChange } = this.#options
    const expected = clock.now() - (this.#isSampleGood() ? (this.offset() ?? 0) : 0)
    const isPossible = expected >= date && expected <= date + 1 + age + seconds // some caches renew `Date`, and keep `Age`
    const time = isPossible ? expected : date + 0.5 + age + seconds / 2 // on average: a whole second, sent halfway
    const offset = clock.now() - time
    const wasRight = isWithin(this.#sample?.offset ?? 0)
    this.#sample = { time, at: clock.monotonic(), offset }
    if (isWithin(offset) !== wasRight) onChange(isWithin(offset), offset)
  }
}

function isWithin(offset: number): boolean {
  return Math.abs(offset) <= LARGEST_OFFSET
}
