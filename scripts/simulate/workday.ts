// The working day of one user: arrival, lunch, meetings and leaving, the use of CADZERO, and the sleep of the machine.
import type { RandomStream } from './random-stream.ts'

const HOUR = 3600
const SLEEPS_AFTER = 300 // s without use
const SLEEPING_SHARE = 0.6 // of the machines, notebooks for the most part: the others stay awake without use

/** A stretch of time in which the user works with CADZERO. */
export interface Spell {
  readonly start: number
  readonly end: number
  /** Seconds that the machine slept before it. */
  readonly slept: number
}

export interface Workday {
  readonly spells: readonly Spell[]
  /** Seconds at the desk, without lunch and meetings. */
  readonly workSeconds: number
}

/** All times are in seconds since midnight. */
export function workday(random: RandomStream): Workday {
  const arrival = Math.min(11 * HOUR, Math.max(6.5 * HOUR, random.normal(9 * HOUR, 0.4 * HOUR)))
  const leaving = arrival + random.normal(8.5 * HOUR, 0.6 * HOUR)
  const doesSleep = random.unit() < SLEEPING_SHARE
  const spells: Spell[] = []
  let workSeconds = 0
  let slept = arrival - (random.between(16, 18) - 24) * HOUR // since the end of yesterday's work
  for (const { start, end } of deskTimes(random, arrival, leaving)) {
    const last = spells.at(-1)
    const away = last === undefined ? 0 : start - last.end
    if (last !== undefined) slept = doesSleep && away > SLEEPS_AFTER ? away - SLEEPS_AFTER : 0
    workSeconds += end - start
    for (const { start: from, end: to } of spellsIn(random, start, end)) {
      spells.push({ start: from, end: to, slept })
      slept = 0
    }
  }
  return { spells, workSeconds }
}

interface Span {
  readonly start: number
  readonly end: number
}

/** The day without lunch and meetings. Meetings end on the half-hour, so that many users return at about the same minute. */
function deskTimes(random: RandomStream, arrival: number, leaving: number): Span[] {
  const lunch = random.between(12 * HOUR, 13 * HOUR)
  const away: Span[] = [{ start: lunch, end: lunch + random.between(0.5 * HOUR, HOUR) }]
  for (let meetings = Math.floor(random.between(0, 4)); meetings > 0; meetings--) {
    const start = Math.floor(random.between(19, 34)) * 0.5 * HOUR
    away.push({ start, end: start + (random.unit() < 0.5 ? 0.5 : 1) * HOUR + random.between(0, 120) })
  }
  away.sort((a, b) => a.start - b.start)
  const desk: Span[] = []
  let from = arrival
  for (const { start, end } of away) {
    if (start > from && start < leaving) desk.push({ start: from, end: start })
    from = Math.max(from, end)
  }
  if (from < leaving) desk.push({ start: from, end: leaving })
  return desk
}

/** Half an hour with CADZERO and twenty minutes without it, on average and alternating. */
function spellsIn(random: RandomStream, start: number, end: number): Span[] {
  const spells: Span[] = []
  let from = start + random.exponential(120) // starting Fusion, reading mail
  while (from < end) {
    const to = Math.min(end, from + 60 + random.exponential(1800))
    spells.push({ start: from, end: to })
    from = to + random.exponential(1200)
  }
  return spells
}
