// The broker's rate limit: a token bucket for each key.
import { describe, expect, it } from 'vitest'
import { RateLimiter } from '../../src/broker/limiter.ts'
import { newBrokerWorld } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'

describe('the rate limiter', () => {
  function newWorld(perMinute: number) {
    const clock = new TestClock()
    const limiter = new RateLimiter(perMinute, clock)
    const consume = (key: string, times: number) => Array.from({ length: times }, () => limiter.consume(key))
    return { clock, limiter, consume }
  }

  it('allows a burst of a minute’s requests, then returns the seconds until the next one', () => {
    const { consume } = newWorld(6)
    expect(consume('a', 8)).toEqual([0, 0, 0, 0, 0, 0, 10, 10])
  })

  it('refills at the configured rate', () => {
    const { clock, limiter, consume } = newWorld(6)
    consume('a', 6)
    clock.advance(9)
    expect(limiter.consume('a')).toBe(1)
    clock.advance(1)
    expect(consume('a', 2)).toEqual([0, 10])
  })

  it('refills to one minute’s requests at most', () => {
    const { clock, consume } = newWorld(2)
    consume('a', 2)
    clock.advance(3600)
    expect(consume('a', 3)).toEqual([0, 0, 30])
  })

  it('limits each key by itself', () => {
    const { limiter, consume } = newWorld(1)
    expect(consume('a', 2)).toEqual([0, 60])
    expect(limiter.consume('b')).toBe(0)
  })

  it('drops the key that was used longest ago beyond 100,000 keys', () => {
    const { limiter } = newWorld(1)
    const others = Array.from({ length: 99_998 }, (_, n) => String(n))
    for (const key of ['oldest', 'older', ...others]) limiter.consume(key)
    expect(limiter.consume('oldest')).toBe(60) // used again, so that «older» is now the oldest
    limiter.consume('one more')
    expect(limiter.consume('oldest')).toBe(60)
    expect(limiter.consume('older')).toBe(0)
  })
})

describe('the rate limit of a session', () => {
  it('answers 429 with Retry-After beyond the limit, and leaves other sessions alone', async () => {
    const clock = new TestClock(Date.now() / 1000)
    const world = await newBrokerWorld({ clock, requestsPerMinute: 6 })
    const { backend, newRefreshToken, refresh, exchange } = world
    const refreshToken = await newRefreshToken()
    const statuses: number[] = []
    for (let n = 0; n < 6; n++) statuses.push((await refresh(refreshToken)).status)
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429])
    const refused = await refresh(refreshToken)
    expect(refused).toMatchObject({ status: 429, body: { error: 'temporarily_unavailable' } })
    expect(refused.headers.get('retry-after')).toBe('10')
    const other = backend.createSession()
    expect((await exchange(other, await backend.sessionToken(other))).status).toBe(200)
    clock.advance(10)
    expect((await refresh(refreshToken)).status).toBe(200)
  })
})
