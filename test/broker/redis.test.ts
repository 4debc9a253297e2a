// The Redis that copies of the broker share: limits and single use across copies, while it responds and while it does not.
import { describe, expect, it, onTestFinished } from 'vitest'
import { createLimits } from '../../src/broker/limits.ts'
import { connectRedis, RedisSingleUse } from '../../src/broker/redis.ts'
import { MemorySingleUse } from '../../src/broker/single-use.ts'
import { systemClock } from '../../src/host/clock.ts'
import { newKey } from '../support/broker.ts'
import { hasRedis, skippedWithoutRedis, startRedis } from '../support/redis.ts'

/** Copies of a broker's store with one Redis. */
async function newCopies(count: number, secret = newKey()) {
  const redis = await startRedis()
  const copies = Array.from({ length: count }, async () => {
    const changes: boolean[] = []
    const { promise: connected, resolve } = deferred()
    const connection = await connectRedis(redis.url, (isUp) => {
      changes.push(isUp)
      if (isUp) resolve()
    })
    onTestFinished(() => connection.close())
    await connected
    return {
      ...connection,
      changes,
      limits: createLimits({ user: 6, address: 6 }, secret, systemClock, connection.client),
      singleUse: new RedisSingleUse(connection.client, new MemorySingleUse(systemClock)),
    }
  })
  return { redis, copies: await Promise.all(copies) }
}

function deferred() {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

describe.skipIf(!hasRedis)(`copies with one Redis${skippedWithoutRedis}`, () => {
  it('count a user’s and an address’s requests together', async () => {
    const { copies } = await newCopies(3)
    for (const scope of ['user', 'address'] as const) {
      const waits: number[] = []
      for (let n = 0; n < 9; n++) waits.push(await (copies[n % 3] as (typeof copies)[0]).limits.take(scope, '10.0.0.1'))
      expect(waits.filter((seconds) => seconds === 0)).toHaveLength(6)
      expect(waits.slice(6).every((seconds) => seconds > 0 && seconds <= 60)).toBe(true)
    }
  })

  it.each(['session_token', 'code', 'proof'] as const)('accept a %s once', async (kind) => {
    const { copies } = await newCopies(3)
    const claims = await Promise.all(copies.map(({ singleUse }) => singleUse.claim(kind, 'an-id', 60)))
    expect(claims.filter(Boolean)).toHaveLength(1)
    expect(await copies[0]?.singleUse.claim(kind, 'another-id', 60)).toBe(true)
  })

  it.each(['session_token', 'code', 'proof'] as const)(
    'that has lost its data know the %s that they took',
    async (kind) => {
      const { copies } = await newCopies(1)
      const [{ client, singleUse }] = copies as [(typeof copies)[0]]
      expect(await singleUse.claim(kind, 'an-id', 60)).toBe(true)
      await client.flushall() // as after a restart without persistence
      expect(await singleUse.claim(kind, 'an-id', 60)).toBe(false)
    },
  )

  it('keep neither a user’s id without need nor an address, and let every key expire', async () => {
    const { copies } = await newCopies(1)
    const [{ client, limits, singleUse }] = copies as [(typeof copies)[0]]
    await limits.take('address', '203.0.113.7')
    await singleUse.claim('code', 'an-id', 60)
    const keys = await client.keys('*')
    expect(keys).toHaveLength(2)
    expect(keys.join()).not.toContain('203.0.113.7')
    for (const key of keys) expect(await client.ttl(key)).toBeGreaterThan(0)
  })
})

describe.skipIf(!hasRedis)(`while Redis does not respond${skippedWithoutRedis}`, () => {
  it.each(['stop', 'freeze'] as const)(
    'after a %s, each copy checks proofs and limits by itself, and refuses codes',
    async (how) => {
      const { redis, copies } = await newCopies(2)
      const [one, other] = copies as [(typeof copies)[0], (typeof copies)[0]]
      expect(await one.singleUse.claim('proof', 'used', 60)).toBe(true)
      await redis[how]()
      for (let n = 0; n < 6; n++) expect(await one.limits.take('user', 'a')).toBe(0)
      expect(await one.limits.take('user', 'a')).toBeGreaterThan(0)
      expect(await other.limits.take('user', 'a')).toBe(0)
      expect(await one.singleUse.claim('proof', 'used', 60)).toBe(false) // remembered from before
      expect(await one.singleUse.claim('proof', 'new', 60)).toBe(true)
      expect(await one.singleUse.claim('proof', 'new', 60)).toBe(false)
      for (const kind of ['code', 'session_token'] as const) {
        const claim = one.singleUse.claim(kind, 'an-id', 60)
        await expect(claim).rejects.toMatchObject({ kind: 'temporarily_unavailable', reason: 'store_unavailable' })
      }
    },
  )

  it.each(['code', 'session_token'] as const)(
    'for longer than a claim waits, the same %s can be sent again when it does, to any copy, and is then used once',
    async (kind) => {
      const { redis, copies } = await newCopies(2)
      const [one, other] = copies as [(typeof copies)[0], (typeof copies)[0]]
      redis.freeze()
      await expect(one.singleUse.claim(kind, 'an-id', 60)).rejects.toMatchObject({ reason: 'store_unavailable' })
      redis.thaw()
      await one.client.ping() // answered after the claim that was given up
      expect(await other.singleUse.claim(kind, 'an-id', 60)).toBe(true)
      expect(await one.singleUse.claim(kind, 'an-id', 60)).toBe(false)
    },
  )

  it('and a code was used before, a claim that is given up does not make it usable again', async () => {
    const { redis, copies } = await newCopies(1)
    const [{ singleUse, client }] = copies as [(typeof copies)[0]]
    expect(await singleUse.claim('code', 'an-id', 60)).toBe(true)
    redis.freeze()
    await expect(singleUse.claim('code', 'an-id', 60)).rejects.toMatchObject({ reason: 'store_unavailable' })
    redis.thaw()
    await client.ping()
    expect(await singleUse.claim('code', 'an-id', 60)).toBe(false)
  })

  it('says so once, and works again when Redis is back', async () => {
    const { redis, copies } = await newCopies(1)
    const [{ isUp, changes, singleUse }] = copies as [(typeof copies)[0]]
    expect(isUp()).toBe(true)
    await redis.stop()
    await expect.poll(isUp).toBe(false)
    await redis.start()
    await expect.poll(isUp, { timeout: 10_000 }).toBe(true)
    expect(changes).toEqual([true, false, true])
    expect(await singleUse.claim('code', 'an-id', 60)).toBe(true)
  })
})
