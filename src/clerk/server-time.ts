// The provider's time, from the Date header of its responses: how far the clock of this computer is off.
import type { Clock } from '../host/clock.ts'

/** Seconds by which times may differ without a correction; the tolerance of Clerk's own libraries. */
export const CLOCK_TOLERANCE = 5

/** Seconds. A clock that is off by more is to be set by its owner: below that, sign-ins work all the same. */
export const LARGEST_SKEW = 300

/**
 * Seconds that this computer's clock is ahead of the server's; undefined without a valid Date header. Only for responses over
 * verified TLS or loopback: the header of another one proves nothing.
 */
export function clockSkew(headers: Headers, clock: Clock): number | undefined {
  const date = Date.parse(headers.get('date') ?? '') / 1000
  return Number.isFinite(date) ? clock.now() - date : undefined
}

/** The skew as a correction of the clock, in seconds: none if it is not known, or too large to be believed. */
export function correction(skew: number | undefined): number {
  return skew === undefined || Math.abs(skew) > LARGEST_SKEW ? 0 : -skew
}
