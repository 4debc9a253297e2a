// How often a test repeats what it tries: a little in each run, as much as the figures ask for in a full one. And its dice.
import { randomInt } from 'node:crypto'

/** `npm run test:full` sets it. */
export const isFullRun = process.env.CADZERO_AUTH_TEST_FULL === '1'

export function rounds(few: number, full: number): number {
  return isFullRun ? full : few
}

/** Prints what a full run has measured. */
export function figure(text: string): void {
  if (isFullRun) process.stdout.write(`figure: ${text}\n`)
}

export interface Dice {
  /** A whole number from 0 to below `end`. */
  below(end: number): number
  pick<T>(from: readonly T[]): T
  text(from: string, length: number): string
}

/** Mulberry32: the same seed throws the same. A failure names its seed; CADZERO_AUTH_TEST_SEED throws it again. */
export function newDice(
  seed = Number(process.env.CADZERO_AUTH_TEST_SEED ?? randomInt(2 ** 31)),
): Dice & { readonly seed: number } {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (end: number) => Math.floor(next() * end)
  return {
    seed,
    below,
    pick: (from) => from[below(from.length)] as (typeof from)[number],
    text: (from, length) => Array.from({ length }, () => from[below(from.length)]).join(''),
  }
}
