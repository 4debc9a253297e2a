// The scenarios: refresh methods and token lifetimes on the same day; and the findings of a simulated day.
import { type Outage, RATE_LIMIT, type RefreshMethod, WINDOW } from './clerk.ts'
import type { Day, FleetOptions } from './fleet.ts'
import { peak, sum } from './per-second.ts'

export const OUTAGE: Outage = { start: 10.5 * 3600, end: 10.5 * 3600 + 600 }
const LARGEST_RATE_LIMITED_FLEET = 10_000 // a larger one is scaled down
const SCALE = 10
const RECOVERY = 600 // s after the outage in which a herd of requests would be seen
const NO_ERRORS_FOR = 120 // s, two back-offs, until all users count as served

export interface Scenario {
  readonly method: RefreshMethod
  /** The lifetime of a token in seconds. */
  readonly lifetime: number
  readonly daemons: number
  /** One daemon in this many is simulated, against the same fraction of the rate limit. The counts are of the simulated daemons. */
  readonly oneIn: number
  /** Set if the fleet has the size that one instance of Clerk is expected to support. */
  readonly fits?: boolean
}

export interface Result extends Scenario {
  readonly day: Day
}

const MINUTE = 60
const QUARTER = 900
const HOUR = 3600
const DAY = 86_400
export const BROKER_LIFETIMES = [MINUTE, QUARTER, HOUR]

/** The slowest scenario comes first, so that the two threads end at about the same time. */
export function scenariosOf(daemons: number): Scenario[] {
  // Daemons that exceed a common rate limit affect each other: they cannot be simulated in batches, which is slow.
  const oneIn = daemons > LARGEST_RATE_LIMITED_FLEET ? SCALE : 1
  return [
    { method: 'broker', lifetime: MINUTE, daemons, oneIn },
    { method: 'oauth', lifetime: MINUTE, daemons, oneIn: 1 },
    { method: 'broker', lifetime: QUARTER, daemons, oneIn: 1 },
    { method: 'broker', lifetime: HOUR, daemons, oneIn: 1 },
    { method: 'oauth', lifetime: DAY, daemons, oneIn: 1 },
  ]
}

export function optionsOf({ method, lifetime, daemons, oneIn }: Scenario, seed: number): FleetOptions {
  const scaled = { daemons: Math.round(daemons / oneIn), rateLimit: RATE_LIMIT / oneIn }
  return { method, lifetime, seed, outage: OUTAGE, ...scaled }
}

/** A day without rate limit and outage, to measure the demand. */
export function demandOptions(lifetime: number, daemons: number, seed: number): FleetOptions {
  return { method: 'broker', lifetime, daemons, seed, rateLimit: Number.POSITIVE_INFINITY, outage: undefined }
}

/** The number of daemons that one instance of Clerk supports through a day without outage, random peaks included. */
export function capacityOf(daemons: number, day: Day): number {
  const busiest = peak(day.apiCalls, 600) / 600 / daemons // over ten minutes, which smooths random peaks
  // Random peaks stay within five standard deviations, four were too few: x + 5 * sqrt(x) must fit into one window.
  const mean = (Math.sqrt(2.5 ** 2 + RATE_LIMIT) - 2.5) ** 2
  return Math.floor(mean / (busiest * WINDOW) / 100) * 100
}

export interface Findings {
  readonly perWorkingUser: number
  readonly perIdleUser: number
  /** The highest number of refresh requests in one second. */
  readonly peak: number
  /** The highest number of requests to the Backend API in ten seconds. */
  readonly peakWindow: number
  readonly rateLimited: number
  /** Before, during and after always refer to the outage. */
  readonly rateLimitedBefore: number
  readonly errorsBefore: number
  readonly errorsDuring: number
  readonly errorsAfter: number
  /** The share of calls that waited for Clerk. */
  readonly waitedShare: number
  /** Seconds from the end of the outage until no call fails for two minutes; undefined after more than an hour. */
  readonly servedAfter: number | undefined
  readonly peakBefore: number
  readonly peakAfter: number
}

export function findingsOf({ day }: Result): Findings {
  const { requests, errors } = day
  const { start, end } = OUTAGE
  return {
    perWorkingUser: day.requestsOfWorkingUsers / Math.max(1, day.workingUsers),
    perIdleUser: day.requestsOfIdleUsers / Math.max(1, day.idleUsers),
    peak: peak(requests, 1),
    peakWindow: peak(day.apiCalls, WINDOW),
    rateLimited: sum(day.rateLimited),
    rateLimitedBefore: sum(day.rateLimited, 0, start),
    errorsBefore: sum(errors, 0, start),
    errorsDuring: sum(errors, start, end),
    errorsAfter: sum(errors, end),
    waitedShare: day.waitedCalls / Math.max(1, day.calls),
    servedAfter: servedAfter(errors),
    peakBefore: peak(requests, 1, 0, start),
    peakAfter: peak(requests, 1, end, end + RECOVERY),
  }
}

function servedAfter(errors: Uint32Array): number | undefined {
  const { end } = OUTAGE
  for (let served = 0; served <= HOUR; served++)
    if (sum(errors, end + served, end + served + NO_ERRORS_FOR) === 0) return served
  return undefined
}
