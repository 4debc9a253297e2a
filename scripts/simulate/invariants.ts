// What must hold whatever the fleet: the run fails where it does not.
import { findingsOf, type Result } from './scenarios.ts'

const HERD = 0.05 // of those who wait, in one second
const FEW = 5 // requests in one second are no herd
const SERVED_WITHIN = 90 // s; the longest back-off, and a burst of calls later

/** @returns what does not hold, in words */
export function brokenBy(result: Result): string[] {
  const { way, lifetime, daemons, day } = result
  const found = findingsOf(result)
  const { perIdleUser, servedAfter, refused, refusedBefore, errorsBefore, peakSecondAfter, peakSecondBefore } = found
  const broken: string[] = []
  const check = (holds: boolean, what: string) => {
    if (!holds) broken.push(`${way}, ${lifetime} s, ${daemons} daemons: ${what}`)
  }
  check(perIdleUser === 0, 'an idle daemon asked for something')
  check(day.signedOut === 0, `${day.signedOut} people were signed out`)
  // Where the limit refuses some, they ask again before a token's life is over: but not more often than it is renewed.
  const mostAsked = refused > 0 ? 1 / 0.8 : 1
  if (lifetime === 60)
    check(day.mostPerLifetime <= mostAsked, `one asked ${day.mostPerLifetime} times a token lifetime`)
  // Four fifths of a life, less a second for the rounding of its end.
  check(day.shortestInterval >= 0.8 * lifetime - 1, `a token was replaced after ${day.shortestInterval} s`)
  const most = Math.max(FEW, peakSecondBefore + HERD * day.waiting)
  check(peakSecondAfter <= most, `${peakSecondAfter} came back in one second`)
  if (result.fits) check(refusedBefore === 0, `${refusedBefore} were refused, though they should fit`)
  if (refused > 0) return broken // more people than the instance carries: no day on which all are served
  check(errorsBefore === 0, `${errorsBefore} calls failed before the outage`)
  check(servedAfter !== undefined && servedAfter <= SERVED_WITHIN, `all were served only after ${servedAfter} s`)
  return broken
}
