// How a failing provider is asked again: later and later, never before its own time, and not by everybody at once.
import { describe, expect, it } from 'vitest'
import { Backoff } from '../../src/daemon/backoff.ts'
import type { Random } from '../../src/host/random.ts'
import { TestClock } from '../support/clock.ts'

/** Numbers that look random, and are the same in each run. */
function seeded(seed: number): Random {
  let state = seed >>> 0
  return (size) =>
    Buffer.from(
      Array.from({ length: size }, () => {
        // Mulberry32, by its upper bits
        state = (state + 0x6d2b79f5) >>> 0
        let mixed = Math.imul(state ^ (state >>> 15), state | 1)
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
        return (mixed ^ (mixed >>> 14)) >>> 24
      }),
    )
}

/** When each of so many daemons would come back, in seconds from one failure that hit them all at once. */
function comeBack(daemons: number, failures: number, retryAfter?: number): number[] {
  const random = seeded(4711)
  return Array.from({ length: daemons }, () => {
    const backoff = new Backoff(new TestClock(), random)
    for (let n = 0; n < failures; n++) backoff.failed(retryAfter)
    return backoff.remaining
  })
}

/** The largest share of them that falls into one of so many equal parts of the interval. */
function crowd(times: readonly number[], from: number, to: number, parts: number): number {
  const counts = new Array<number>(parts).fill(0)
  for (const time of times) {
    const part = Math.min(parts - 1, Math.floor(((time - from) / (to - from)) * parts))
    counts[part] = (counts[part] ?? 0) + 1
  }
  return Math.max(...counts) / times.length
}

describe('ten thousand daemons whose provider failed in the same moment', () => {
  it.each([
    [1, 0.25, 0.5],
    [4, 2, 4],
    [20, 30, 60],
  ])('after failure %i come back spread over the second half of the interval', (failures, from, to) => {
    const times = comeBack(10_000, failures)
    expect(Math.min(...times)).toBeGreaterThanOrEqual(from - 1e-6)
    expect(Math.max(...times)).toBeLessThanOrEqual(to + 1e-6)
    expect(crowd(times, from, to, 20)).toBeLessThan(0.065) // 0.05 each, were they perfectly even
  })

  it.each([1, 30, 300])('that said Retry-After: %i come back after that, and not in the same moment', (seconds) => {
    const times = comeBack(10_000, 1, seconds)
    const spread = Math.max(0.25, seconds / 10)
    expect(Math.min(...times)).toBeGreaterThanOrEqual(seconds)
    expect(Math.max(...times)).toBeLessThanOrEqual(seconds + spread + 1e-6)
    expect(crowd(times, seconds, seconds + spread, 20)).toBeLessThan(0.065)
  })
})

describe('the interval', () => {
  const newBackoff = () => {
    const clock = new TestClock()
    return { clock, backoff: new Backoff(clock, (size) => Buffer.alloc(size, 255)) }
  }

  it('doubles, ends at a minute, and starts anew after a success', () => {
    const { backoff } = newBackoff()
    const seen = Array.from({ length: 2000 }, () => {
      backoff.failed()
      return Math.round(backoff.remaining * 10) / 10
    })
    expect(seen.slice(0, 9)).toEqual([0.5, 1, 2, 4, 8, 16, 32, 60, 60])
    expect(seen.at(-1)).toBe(60)
    backoff.succeeded()
    expect(backoff.remaining).toBe(0)
    backoff.failed()
    expect(backoff.remaining).toBeLessThanOrEqual(0.5)
  })

  it('goes on while the machine sleeps, though the monotonic clock stands still', () => {
    const { clock, backoff } = newBackoff()
    for (let n = 0; n < 20; n++) backoff.failed()
    clock.sleep(3600)
    expect(backoff.remaining).toBe(0)
  })

  it('ends in time though the wall clock is set back a day meanwhile', () => {
    const { clock, backoff } = newBackoff()
    backoff.failed(30)
    clock.setBack(86_400)
    expect(backoff.remaining).toBeLessThanOrEqual(33)
    clock.advance(33.1)
    expect(backoff.remaining).toBe(0)
  })
})
