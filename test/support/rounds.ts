// How often a test repeats an attempt (a few times, or thousands of times in `npm run test:full`), and seeded randomness.
import { randomInt } from 'node:crypto'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** Set by `npm run test:full`. */
export const isFullRun = process.env.CADZERO_AUTH_TEST_FULL === '1'

export function rounds(few: number, full: number): number {
  return isFullRun ? full : few
}

/** Prints a measurement of a full run. */
export function figure(text: string): void {
  if (isFullRun) process.stdout.write(`figure: ${text}\n`)
}

export interface SeededRandom {
  readonly seed: number
  /** An integer from 0 to below `end`. */
  below(end: number): number
  pick<T>(from: readonly T[]): T
  text(alphabet: string, length: number): string
}

/** The same seed gives the same sequence. A failure prints its seed; CADZERO_AUTH_TEST_SEED repeats it. */
export function seededRandom(seed = Number(process.env.CADZERO_AUTH_TEST_SEED ?? randomInt(2 ** 31))): SeededRandom {
  const generator = xoroshiro128plus(seed)
  const below = (end: number) => uniformInt(generator, 0, end - 1)
  return {
    seed,
    below,
    pick: (from) => from[below(from.length)] as (typeof from)[number],
    text: (alphabet, length) => Array.from({ length }, () => alphabet[below(alphabet.length)]).join(''),
  }
}
