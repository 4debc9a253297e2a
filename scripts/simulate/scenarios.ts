// What is played: ways and token lifetimes on the same day, and what each day comes to.
import { CALLS_PER_RENEWAL, LIMIT, type Outage, type Way, WINDOW } from './clerk.ts'
import type { Day, FleetOptions } from './fleet.ts'
import { peak, sum } from './per-second.ts'

export const OUTAGE: Outage = { start: 10.5 * 3600, end: 10.5 * 3600 + 600 }
const LARGEST_CROWD = 10_000
const CROWD_ONE_IN = 10
const AFTERMATH = 600 // s; how long after the outage its herd is looked for
const QUIET = 120 // s; two back-offs without a call that failed

export interface Scenario {
  readonly way: Way
  readonly lifetime: number
  readonly daemons: number
  /** Only one daemon in so many is played, against as small a part of the limit; counts are of those that are played. */
  readonly oneIn: number
  /** Whether it is as many as one instance of Clerk is said to carry. */
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

/** The slowest first, so that two threads end together. */
export function scenariosOf(daemons: number): Scenario[] {
  // Too many for the limit know of each other: they have to be played all at once, which is slow.
  const crowd = daemons > LARGEST_CROWD ? CROWD_ONE_IN : 1
  return [
    { way: 'broker', lifetime: MINUTE, daemons, oneIn: crowd },
    { way: 'oauth', lifetime: MINUTE, daemons, oneIn: 1 },
    { way: 'broker', lifetime: QUARTER, daemons, oneIn: 1 },
    { way: 'broker', lifetime: HOUR, daemons, oneIn: 1 },
    { way: 'oauth', lifetime: DAY, daemons, oneIn: 1 },
  ]
}

export function optionsOf({ way, lifetime, daemons, oneIn }: Scenario, seed: number): FleetOptions {
  return { way, lifetime, daemons: Math.round(daemons / oneIn), seed, limit: LIMIT / oneIn, outage: OUTAGE }
}

/** A day without limit and outage: what people ask for. */
export function demandOptions(lifetime: number, daemons: number, seed: number): FleetOptions {
  return { way: 'broker', lifetime, daemons, seed, limit: Number.POSITIVE_INFINITY, outage: undefined }
}

/** How many daemons one instance of Clerk carries through a normal day, chance included. */
export function capacityOf(daemons: number, day: Day): number {
  const busiest = peak(day.requests, 600) / 600 / daemons // ten minutes, so that chance does not count as demand
  // Requests that come by chance stay within four deviations: x + 4 * sqrt(x) = what fits into one window.
  const fits = LIMIT / CALLS_PER_RENEWAL
  const mean = (Math.sqrt(4 + fits) - 2) ** 2
  const most = mean / (busiest * WINDOW)
  return Math.floor(most / 100) * 100
}

export interface Findings {
  readonly perWorkingUser: number
  readonly perIdleUser: number
  readonly peakSecond: number
  /** Requests to the Backend API in ten seconds, at the most. */
  readonly peakWindow: number
  readonly refused: number
  readonly refusedBefore: number
  readonly errorsBefore: number
  readonly errorsDuring: number
  readonly errorsAfter: number
  /** Share of callers' calls that waited for Clerk. */
  readonly waited: number
  /** Seconds from the end of the outage until no call fails for a while; undefined where that takes more than an hour. */
  readonly servedAfter: number | undefined
  readonly peakSecondBefore: number
  readonly peakSecondAfter: number
}

export function findingsOf({ day }: Result): Findings {
  const { requests, errors } = day
  const { start, end } = OUTAGE
  return {
    perWorkingUser: day.requestsOfWorking / Math.max(1, day.working),
    perIdleUser: day.requestsOfIdle / Math.max(1, day.idle),
    peakSecond: peak(requests, 1),
    peakWindow: peak(day.apiCalls, WINDOW),
    refused: sum(day.refused),
    refusedBefore: sum(day.refused, 0, start),
    errorsBefore: sum(errors, 0, start),
    errorsDuring: sum(errors, start, end),
    errorsAfter: sum(errors, end),
    waited: day.waited / Math.max(1, day.calls),
    servedAfter: servedAfter(errors),
    peakSecondBefore: peak(requests, 1, 0, start),
    peakSecondAfter: peak(requests, 1, end, end + AFTERMATH),
  }
}

function servedAfter(errors: Uint32Array): number | undefined {
  const { end } = OUTAGE
  for (let served = 0; served <= HOUR; served++)
    if (sum(errors, end + served, end + served + QUIET) === 0) return served
  return undefined
}
