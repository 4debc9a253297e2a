// The pause after a failure: how long it lasts, and that ten thousand daemons do not end it at the same moment.
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

describe('the pause', () => {
  it.each([
    [1, 0.25, 0.5],
    [2, 0.5, 1],
    [5, 4, 8],
    [20, 30, 60],
  ])('lasts, after %d failures, from %d to %d s', (failures, least, most) => {
    const all = waits(failures, 0)
    expect(Math.min(...all)).toBeGreaterThanOrEqual(least)
    expect(Math.max(...all)).toBeLessThan(most)
  })

  it.each(['dns', 'refused'] as const)('lasts at most a second without a network (%s)', (cause) => {
    const backoff = new ProviderBackoff(new TestClock(), random)
    for (let i = 0; i < 20; i++) backoff.failed(new UnavailableError('network', undefined, { cause }))
    expect(backoff.remainingSeconds).toBeGreaterThanOrEqual(0.5)
    expect(backoff.remainingSeconds).toBeLessThanOrEqual(1)
  })

  it.each([
    [1, 10, 20],
    [1, 30, 60],
    [20, 300, 330],
  ])(
    'lasts, after %d failures and a Retry-After of %d s, at least that and at most %d s',
    (failures, retryAfter, most) => {
      const all = waits(failures, retryAfter)
      expect(Math.min(...all)).toBeGreaterThanOrEqual(retryAfter)
      expect(Math.max(...all)).toBeLessThan(most)
    },
  )

  it('brings back no herd, even if all daemons were told the same second', () => {
    expect(herd(waits(20, 0))).toBeLessThan(DAEMONS * 0.05)
    expect(herd(waits(1, 30))).toBeLessThan(DAEMONS * 0.05)
    expect(herd(waits(20, 300))).toBeLessThan(DAEMONS * 0.05)
  })

  it('ends with the first success', () => {
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

  it('doubles up to a minute, and starts again after a success', () => {
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

  it('passes while the machine sleeps, although the monotonic clock stands still', () => {
    const { clock, backoff } = newBackoff()
    for (let n = 0; n < 20; n++) backoff.failed(outage())
    clock.sleep(3600)
    expect(backoff.remainingSeconds).toBe(0)
  })

  it('ends in time although the wall clock is set back a day', () => {
    const { clock, backoff } = newBackoff()
    backoff.failed(outage(30))
    clock.setBack(86_400)
    expect(backoff.remainingSeconds).toBeLessThanOrEqual(60)
    clock.advance(60)
    expect(backoff.remainingSeconds).toBe(0)
  })
})

it('tells later callers the cause of the failure, with the seconds that are left', () => {
  const clock = new TestClock()
  const backoff = new ProviderBackoff(clock, random)
  const failure = { cause: 'proxy', proxyHost: 'proxy.example', proxyProblem: 'refused' } as const
  backoff.failed(new UnavailableError('network', 30, failure))
  clock.advance(1)
  expect(backoff.failure).toMatchObject({ reason: 'network', failure })
})
