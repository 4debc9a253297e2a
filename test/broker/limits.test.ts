// The broker's limits: per user and per address, in memory.
import { describe, expect, it } from 'vitest'
import { createLimits } from '../../src/broker/limits.ts'
import { systemClock } from '../../src/host/clock.ts'
import { newKey } from '../support/broker.ts'

async function take(limits: ReturnType<typeof createLimits>, scope: 'user' | 'address', key: string, times: number) {
  const seconds: number[] = []
  for (let n = 0; n < times; n++) seconds.push(await limits.take(scope, key))
  return seconds
}

describe('the limits', () => {
  it('allow a number of requests in a minute, then return the seconds until the next one', async () => {
    const limits = createLimits({ user: 3, address: 1 }, newKey(), systemClock)
    expect((await take(limits, 'user', 'a', 3)).every((seconds) => seconds === 0)).toBe(true)
    const [wait = 0] = await take(limits, 'user', 'a', 1)
    expect(wait).toBeGreaterThan(50)
    expect(wait).toBeLessThanOrEqual(60)
  })

  it('allow a user a sixth of a minute’s requests at once, and an address all of them', async () => {
    const limits = createLimits({ user: 120, address: 120 }, newKey(), systemClock)
    const waits = await take(limits, 'user', 'a', 25)
    expect(waits.findIndex((seconds) => seconds > 0)).toBe(20)
    expect(Math.max(...waits)).toBeLessThanOrEqual(10)
    expect((await take(limits, 'address', '203.0.113.7', 120)).every((seconds) => seconds === 0)).toBe(true)
  })

  it('allow a user ten requests at once if the limit of a minute does, at the same rate', async () => {
    const limits = createLimits({ user: 20, address: 1 }, newKey(), systemClock)
    const waits = await take(limits, 'user', 'a', 11)
    expect(waits.findIndex((seconds) => seconds > 0)).toBe(10)
    expect(waits.at(-1)).toBeGreaterThan(20)
  })

  it('count each key, and users apart from addresses', async () => {
    const limits = createLimits({ user: 1, address: 1 }, newKey(), systemClock)
    await take(limits, 'user', 'a', 5)
    expect(await take(limits, 'user', 'b', 1)).toEqual([0])
    expect(await take(limits, 'address', '203.0.113.7', 1)).toEqual([0])
  })

  it('count the addresses of one IPv6 network together', async () => {
    const limits = createLimits({ user: 1, address: 2 }, newKey(), systemClock)
    await take(limits, 'address', '2001:db8::1', 1)
    await take(limits, 'address', '2001:db8::2', 1)
    expect((await take(limits, 'address', '2001:db8::3', 1))[0]).toBeGreaterThan(0)
    expect(await take(limits, 'address', '2001:db8:0:1::1', 1)).toEqual([0])
  })

  it('share a bounded number of counters among all addresses, in an order that others cannot know', async () => {
    const collisions = async (secret: Uint8Array) => {
      const limits = createLimits({ user: 1, address: 1 }, secret, systemClock)
      const found: number[] = []
      for (let n = 0; n < 2000; n++) {
        if ((await limits.take('address', `10.0.${n >> 8}.${n & 255}`)) > 0) found.push(n)
      }
      return found.join()
    }
    const [one, other] = [await collisions(Buffer.alloc(32, 1)), await collisions(Buffer.alloc(32, 2))]
    expect(one).not.toBe('')
    expect(one).not.toBe(other)
  })
})
