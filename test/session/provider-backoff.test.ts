// The back-off: how long a daemon stays away, and that ten thousand of them do not come back as one.
import { describe, expect, it } from 'vitest'
import { UnavailableError } from '../../src/clerk/errors.ts'
import type { Random } from '../../src/host/random.ts'
import { ProviderBackoff } from '../../src/session/provider-backoff.ts'
import { TestClock } from '../support/clock.ts'

const DAEMONS = 10_000
const outage = (retryAfterSeconds?: number) => new UnavailableError('network', retryAfterSeconds)
let drawn = 0
const random: Random = () => Buffer.of(drawn++ % 256, 0) // every byte as often as the others

/** Seconds that each of many daemons stays away after so many failures. */
function waits(failures: number, retryAfter: number): number[] {
  const clock = new TestClock()
  const failure = outage(retryAfter)
  return Array.from({ length: DAEMONS }, () => {
    const backoff = new ProviderBackoff(clock, random)
    for (let i = 0; i < failures; i++) backoff.failed(failure)
    return backoff.remainingSeconds
  })
}

/** The most of them that come back in one second. */
function herd(waits: readonly number[]): number {
  const seconds = new Map<number, number>()
  for (const wait of waits) seconds.set(Math.floor(wait), (seconds.get(Math.floor(wait)) ?? 0) + 1)
  return Math.max(...seconds.values())
}

describe('the back-off', () => {
  it.each([
    [1, 0.25, 0.5],
    [2, 0.5, 1],
    [5, 4, 8],
    [20, 30, 60],
  ])('after %d failures is from %d to %d s', (failures, least, most) => {
    const all = waits(failures, 0)
    expect(Math.min(...all)).toBeGreaterThanOrEqual(least)
    expect(Math.max(...all)).toBeLessThan(most)
  })

  it.each([
    [1, 10, 20],
    [1, 30, 60],
    [20, 300, 330],
  ])('after %d failures and a Retry-After of %d s is not shorter, and at most %d s', (failures, retryAfter, most) => {
    const all = waits(failures, retryAfter)
    expect(Math.min(...all)).toBeGreaterThanOrEqual(retryAfter)
    expect(Math.max(...all)).toBeLessThan(most)
  })

  it('brings no herd back, even where everybody was told the same second', () => {
    expect(herd(waits(20, 0))).toBeLessThan(DAEMONS * 0.05)
    expect(herd(waits(1, 30))).toBeLessThan(DAEMONS * 0.05)
    expect(herd(waits(20, 300))).toBeLessThan(DAEMONS * 0.05)
  })

  it('is over with the first success', () => {
    const backoff = new ProviderBackoff(new TestClock(), random)
    backoff.failed(outage(30))
    backoff.reset()
    expect(backoff.remainingSeconds).toBe(0)
  })
})

describe('the interval', () => {
  const newBackoff = () => {
    const clock = new TestClock()
    return { clock, backoff: new ProviderBackoff(clock, (size) => Buffer.alloc(size, 255)) }
  }

  it('doubles, ends at a minute, and starts anew after a success', () => {
    const { backoff } = newBackoff()
    const seen = Array.from({ length: 2000 }, () => {
      backoff.failed(outage())
      return Math.round(backoff.remainingSeconds * 10) / 10
    })
    expect(seen.slice(0, 9)).toEqual([0.5, 1, 2, 4, 8, 16, 32, 60, 60])
    expect(seen.at(-1)).toBe(60)
    backoff.reset()
    expect(backoff.remainingSeconds).toBe(0)
    backoff.failed(outage())
    expect(backoff.remainingSeconds).toBeLessThanOrEqual(0.5)
  })

  it('goes on while the machine sleeps, though the monotonic clock stands still', () => {
    const { clock, backoff } = newBackoff()
    for (let n = 0; n < 20; n++) backoff.failed(outage())
    clock.sleep(3600)
    expect(backoff.remainingSeconds).toBe(0)
  })

  it('ends in time though the wall clock is set back a day meanwhile', () => {
    const { clock, backoff } = newBackoff()
    backoff.failed(outage(30))
    clock.setBack(86_400)
    expect(backoff.remainingSeconds).toBeLessThanOrEqual(60)
    clock.advance(60)
    expect(backoff.remainingSeconds).toBe(0)
  })
})
