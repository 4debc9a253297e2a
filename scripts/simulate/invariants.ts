// The conditions that every simulated day must meet; the run fails if one is violated.
import { findingsOf, type Result } from './scenarios.ts'

const HERD_SHARE = 0.05 // of the waiting users in one second
const SMALL_PEAK = 5 // requests in one second; fewer are no herd
const SERVED_WITHIN = 90 // s; the longest back-off plus the next burst of calls

/** Returns the violated conditions as sentences. */
export function violationsIn(result: Result): string[] {
  const { method, lifetime, daemons, day } = result
  const found = findingsOf(result)
  const { perIdleUser, servedAfter, rateLimited, rateLimitedBefore, errorsBefore, peakAfter, peakBefore } = found
  const violations: string[] = []
  const check = (holds: boolean, what: string) => {
    if (!holds) violations.push(`${method}, ${lifetime} s, ${daemons} daemons: ${what}`)
  }
  check(perIdleUser === 0, 'an idle daemon sent a request')
  check(day.signedOutUsers === 0, `${day.signedOutUsers} users were signed out`)
  // After a 429 the daemon retries before the next lifetime begins, but not more often than it would refresh.
  const mostRequests = rateLimited > 0 ? 1 / 0.8 : 1
  if (lifetime === 60)
    check(day.mostPerLifetime <= mostRequests, `a daemon sent ${day.mostPerLifetime} requests per token lifetime`)
  // A daemon refreshes after four fifths of the lifetime; one second less, because the expiry is rounded.
  check(day.shortestInterval >= 0.8 * lifetime - 1, `a token was replaced after ${day.shortestInterval} s`)
  const highestPeak = Math.max(SMALL_PEAK, peakBefore + HERD_SHARE * day.waitingUsers)
  check(peakAfter <= highestPeak, `${peakAfter} requests were sent in one second after the outage`)
  if (result.fits)
    check(rateLimitedBefore === 0, `${rateLimitedBefore} requests were rate-limited despite the capacity`)
  if (rateLimited > 0) return violations // the fleet exceeds the capacity of the instance: calls do fail
  check(errorsBefore === 0, `${errorsBefore} calls failed before the outage`)
  check(
    servedAfter !== undefined && servedAfter <= SERVED_WITHIN,
    `calls failed until ${servedAfter} s after the outage`,
  )
  return violations
}
