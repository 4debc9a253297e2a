// One person's day: when they come, eat, meet and leave, when they use CADZERO in between, and when their machine sleeps.
import type { Chance } from './chance.ts'

const HOUR = 3600
const SLEEPS_AFTER = 300 // s; a machine that is left alone
const SLEEPY = 0.6 // share of machines that sleep when they are left alone: notebooks

/** A stretch of time in which a person uses CADZERO. */
export interface Spell {
  readonly start: number
  readonly end: number
  /** Seconds that the machine has slept before it. */
  readonly slept: number
}

export interface Workday {
  readonly spells: readonly Spell[]
  /** Seconds at the desk: the day without lunch and meetings. */
  readonly workSeconds: number
}

/** @returns seconds since midnight throughout */
export function workday(chance: Chance): Workday {
  const arrival = Math.min(11 * HOUR, Math.max(6.5 * HOUR, chance.around(9 * HOUR, 0.4 * HOUR)))
  const leaving = arrival + chance.around(8.5 * HOUR, 0.6 * HOUR)
  const sleepy = chance.unit() < SLEEPY
  const spells: Spell[] = []
  let workSeconds = 0
  let slept = arrival - (chance.between(16, 18) - 24) * HOUR // since somewhen yesterday
  for (const { start, end } of deskTimes(chance, arrival, leaving)) {
    const last = spells.at(-1)
    const away = last === undefined ? 0 : start - last.end
    if (last !== undefined) slept = sleepy && away > SLEEPS_AFTER ? away - SLEEPS_AFTER : 0
    workSeconds += end - start
    for (const { start: from, end: to } of spellsIn(chance, start, end)) {
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

/** The day without lunch and meetings. Meetings keep to the clock, so that many come back at about the same minute. */
function deskTimes(chance: Chance, arrival: number, leaving: number): Span[] {
  const lunch = chance.between(12 * HOUR, 13 * HOUR)
  const away: Span[] = [{ start: lunch, end: lunch + chance.between(0.5 * HOUR, HOUR) }]
  for (let meetings = Math.floor(chance.between(0, 4)); meetings > 0; meetings--) {
    const start = Math.floor(chance.between(19, 34)) * 0.5 * HOUR
    away.push({ start, end: start + (chance.unit() < 0.5 ? 0.5 : 1) * HOUR + chance.between(0, 120) })
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

/** Half an hour with CADZERO, twenty minutes without, and so on. */
function spellsIn(chance: Chance, start: number, end: number): Span[] {
  const spells: Span[] = []
  let from = start + chance.exponential(120) // Fusion has to start, mails have to be read
  while (from < end) {
    const to = Math.min(end, from + 60 + chance.exponential(1800))
    spells.push({ start: from, end: to })
    from = to + chance.exponential(1200)
  }
  return spells
}
