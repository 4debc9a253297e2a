// What is played: ways and token lifetimes on the same day, and what each day comes to.
import { CALLS_PER_RENEWAL, LIMIT, type Outage, type Way, WINDOW } from './clerk.ts'
import type { Day, FleetOptions } from './fleet.ts'
import { peak, sum } from './per-second.ts'

export const OUTAGE: Outage = { start: 10.5 * 3600, end: 10.5 * 3600 + 600 }
const AFTERMATH = 600 // s; what comes so long after the outage is still its doing

export interface Scenario {
  readonly way: Way
  readonly lifetime: number
  readonly daemons: number
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
  return [
    { way: 'broker', lifetime: MINUTE, daemons },
    { way: 'oauth', lifetime: MINUTE, daemons },
    { way: 'broker', lifetime: QUARTER, daemons },
    { way: 'broker', lifetime: HOUR, daemons },
    { way: 'oauth', lifetime: DAY, daemons },
  ]
}

export function optionsOf({ way, lifetime, daemons }: Scenario, seed: number): FleetOptions {
  return { way, lifetime, daemons, seed, limited: true, outage: OUTAGE }
}

/** A day without limit and outage: what people ask for. */
export function demandOptions(lifetime: number, daemons: number, seed: number): FleetOptions {
  return { way: 'broker', lifetime, daemons, seed, limited: false, outage: undefined }
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
  readonly errorsBefore: number
  readonly errorsDuring: number
  readonly errorsAfter: number
  /** Share of callers' calls that waited for Clerk. */
  readonly waited: number
  /** Seconds from the end of the outage to the last call that failed by it; undefined where it does not end. */
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
  let last = end
  for (let second = end; second < end + AFTERMATH; second++) if ((errors[second] as number) > 0) last = second + 1
  return last > end + AFTERMATH - MINUTE ? undefined : last - end
}
