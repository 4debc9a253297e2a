// How long an access token is good, by the wall clock and by the monotonic clock: the earlier end rules.
import type { Clock } from '../host/clock.ts'
import type { Session } from '../store/session.ts'

const REFRESH_AHEAD = 0.8 // a 60 s token still has 12 s: longer than any refresh we wait for
const LONGEST_LIFETIME = 10 * 365 * 86_400 // s; Clerk's own maximum. A provider's 1e12 must not become an invalid date
const CLOCK_DRIFT = 2 // s; two clocks of one computer differ by less while neither is set
const SET_BACK = 5 // s; a token received later than "now" by more than this: the clock was set back while we were off

/** One moment on both clocks, in seconds. */
export interface Instant {
  /** Unix time. It may jump. */
  readonly wall: number
  /** It never goes back, but may stand still while the machine sleeps. */
  readonly monotonic: number
}

/** When one access token ends. */
export interface TokenLifetime {
  /** Seconds that the token lives in all. */
  readonly seconds: number
  /** Unix seconds, rounded down. */
  readonly expiresAt: number
  /** Unix seconds, rounded down: from then on a refresh should run in the background. */
  readonly refreshAt: number
  readonly monotonicEnd: number
  /** The wall clock minus the monotonic clock when this was computed: it shrinks if the wall clock is set back. */
  readonly clockOffset: number
}

export function currentInstant(clock: Clock): Instant {
  return { wall: clock.now(), monotonic: clock.monotonic() }
}

/** The lifetime of a token as it is known at `now`. */
export function tokenLifetime(token: Session['accessToken'], now: Instant): TokenLifetime {
  const seconds = Math.min(token.lifetime, LONGEST_LIFETIME)
  const age = now.wall - token.receivedAt
  const left = age < -SET_BACK ? 0 : seconds - Math.max(0, age)
  return {
    seconds,
    expiresAt: Math.floor(token.receivedAt + seconds),
    refreshAt: Math.floor(token.receivedAt + seconds * REFRESH_AHEAD),
    monotonicEnd: now.monotonic + left,
    clockOffset: now.wall - now.monotonic,
  }
}

/** Seconds by which the wall clock was set back since the lifetime was computed; 0 if it was not, or was set ahead. */
export function setBackSeconds({ clockOffset }: TokenLifetime, now: Instant): number {
  const seconds = clockOffset - (now.wall - now.monotonic)
  return seconds > CLOCK_DRIFT ? seconds : 0
}

/** Seconds until the token expires; 0 or less if it has expired. */
export function remainingSeconds(lifetime: TokenLifetime, now: Instant): number {
  return Math.min(lifetime.expiresAt - now.wall, lifetime.monotonicEnd - now.monotonic)
}

/** Whether `remaining` is at least `seconds`. More than half of the whole life counts as that half. */
export function lastsFor({ seconds: whole }: TokenLifetime, seconds: number, remaining: number): boolean {
  return remaining > 0 && remaining >= Math.min(seconds, whole / 2)
}

/** Whether so much of the life is over that a refresh should run in the background. */
export function isAgeing({ seconds: whole }: TokenLifetime, remaining: number): boolean {
  return remaining < whole * (1 - REFRESH_AHEAD)
}
