// No clock of the operator's signs a user out: clocks of copies that are wrong, differ or jump, and a wrong date of Clerk's answers.
import { describe, expect, it } from 'vitest'
import type { BrokerOptions } from '../../src/broker/broker.ts'
import { Monitor } from '../../src/broker/monitor.ts'
import { MemorySingleUse } from '../../src/broker/single-use.ts'
import { invalidGrant, invalidProof, newBroker, newBrokerWorld, newPkce, sessionPath } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'

const DAY = 86_400 // s
const undecided = { status: 503, body: { error: 'temporarily_unavailable' } }

/** A broker with the right time, and its copies. `pass` lets time pass for all of them, and for Clerk. */
async function newWorld(overrides: Partial<BrokerOptions> = {}) {
  const start = Date.now() / 1000
  const clocks = [new TestClock(start), new TestClock(start)]
  const [right, clerk] = clocks as [TestClock, TestClock]
  const settings = { requestsPerMinute: 1000, clock: right, ...overrides }
  const world = await newBrokerWorld(settings, () => clerk.now())
  world.backend.setExpiry(world.sessionId, (start + 3650 * DAY) * 1000)
  /** A copy whose clock is this many seconds ahead; its client has the right time. */
  const newCopy = (ahead: number, more: Partial<BrokerOptions> = {}) => {
    const clock = new TestClock(right.now() + ahead)
    clocks.push(clock)
    const { log: _, ...options } = world.options
    const copy = newBroker(world.sandbox, { ...options, clock, ...more }, world.key)
    const refresh = async (refreshToken: unknown, { now = right.now() } = {}) => {
      const url = `${world.options.publicUrl}/api/auth/refresh`
      return await copy.refresh(refreshToken, { dpop: await (await world.key).proof(url, { now }) })
    }
    return { ...copy, clock, refresh }
  }
  const pass = (seconds: number) => clocks.map((clock) => clock.advance(seconds))
  return { ...world, right, clerk, newCopy, pass }
}

const AHEAD = [-3650 * DAY, -40 * DAY, -2 * DAY, -600, -200, 200, 600, 2 * DAY, 40 * DAY, 3650 * DAY]

describe('a copy whose clock is wrong', () => {
  it.each(AHEAD)('[H9] by %i s refreshes, and issues tokens that end neither earlier nor later', async (ahead) => {
    const { newRefreshToken, newCopy, refresh, pass } = await newWorld()
    const copy = newCopy(ahead)
    const answer = await copy.refresh(await newRefreshToken())
    expect(answer.status).toBe(200)
    pass(29 * DAY)
    expect((await refresh(answer.body.refresh_token)).status).toBe(200)
    pass(2 * DAY)
    expect(await refresh(answer.body.refresh_token)).toMatchObject(invalidGrant)
  })

  it.each(AHEAD)('[H9] by %i s signs in, with a code that another copy takes', async (ahead) => {
    const { newCopy, backend, sessionId, redeem, key, options, right } = await newWorld()
    const copy = newCopy(ahead)
    const { codeVerifier, codeChallenge } = newPkce()
    const token = await backend.sessionToken(sessionId)
    const { body } = await copy.authorize(sessionId, token, { code_challenge: codeChallenge })
    expect((await redeem(body.code, codeVerifier)).status).toBe(200)
    const second = await copy.authorize(sessionId, await backend.sessionToken(sessionId), {
      code_challenge: codeChallenge,
    })
    const dpop = await (await key).proof(`${options.publicUrl}/api/auth/token`, { now: right.now() })
    expect((await copy.redeem(second.body.code, codeVerifier, { dpop })).status).toBe(200)
  })

  it('[H9] refuses no token by time until its clock is set, and says so in the log, the metrics and /readyz', async () => {
    const monitor = new Monitor()
    const { newRefreshToken, newCopy, pass } = await newWorld()
    const refreshToken = await newRefreshToken()
    const copy = newCopy(2 * DAY, { monitor })
    pass(31 * DAY)
    const refused = await copy.refresh(refreshToken)
    expect(refused).toMatchObject(undecided)
    expect(refused.headers.get('retry-after')).toBe('60')
    expect(copy.logLines).toMatchObject([
      { event: 'clock_wrong', status: 503, hint: expect.stringContaining('set the clock') },
      { event: 'failed', status: 503, reason: 'clock_wrong' },
    ])
    expect(Math.abs(Number(copy.logLines[0]?.offsetSeconds) - 2 * DAY)).toBeLessThan(5)
    expect(monitor.health()).toMatchObject({ clock: 'degraded', hint: expect.stringContaining('set the clock') })
    expect(await monitor.metrics.text()).toMatch(/^cadzero_broker_clock_offset_seconds 17\d{4}/m)
    copy.clock.setBack(2 * DAY)
    expect(await copy.refresh(refreshToken)).toMatchObject(invalidGrant)
    expect(copy.logLines.map(({ event }) => event)).toEqual(['clock_wrong', 'failed', 'clock_right', 'refused'])
    expect(monitor.health()).toMatchObject({ clock: 'ok' })
  })

  it('[H9] refuses neither an ended chain, a bearer token, an old session token nor an old code', async () => {
    const unboundUntil = Date.now() / 1000 + 5 * DAY
    const { backend, sessionId, newRefreshToken, newCode, newCopy, pass, right, key, options } = await newWorld()
    const { body } = await newCopy(0, { sessionTokens: 'unbound' }).exchange(
      sessionId,
      await backend.sessionToken(sessionId),
      { dpop: null },
    )
    const [refreshToken, code] = [await newRefreshToken(), await newCode()]
    const old = await backend.sessionToken(sessionId)
    pass(10 * DAY)
    const attempts = async (ahead: number) => {
      const copy = newCopy(ahead, { chainSeconds: 5 * DAY, unboundUntil })
      const dpop = await (await key).proof(`${options.publicUrl}/api/auth/token`, { now: right.now() })
      return [
        await copy.refresh(refreshToken),
        await copy.post('/api/auth/refresh', { refresh_token: body.refresh_token }, { dpop: null }),
        await copy.post('/api/auth/logout', { refresh_token: body.refresh_token }, { dpop: null }),
        await copy.authorize(sessionId, old),
        await copy.redeem(code.code, code.codeVerifier, { dpop }),
      ].map(({ status, body: { error } }) => `${status} ${error}`)
    }
    expect(new Set(await attempts(-DAY))).toEqual(new Set(['503 temporarily_unavailable']))
    expect(new Set(await attempts(0))).toEqual(new Set(['400 invalid_grant']))
  })

  it('[H9] refuses nothing by time before Clerk’s first answer', async () => {
    const { sandbox, newRefreshToken, newCopy, clerk } = await newWorld()
    const refreshToken = await newRefreshToken()
    const copy = newCopy(40 * DAY)
    sandbox.script('/v1/jwks', { kind: 'respond', status: 503 })
    expect(await copy.refresh(refreshToken)).toMatchObject(undecided)
    for (const clock of [copy.clock, clerk]) clock.advance(2)
    expect((await copy.refresh(refreshToken)).status).toBe(200)
  })
})

describe('a clock that jumps while the broker runs', () => {
  it.each([-40 * DAY, -600, 600, 40 * DAY])('[H9] by %i s ends no session', async (jump) => {
    const { right, newRefreshToken, refresh, key, options, logLines } = await newWorld()
    const refreshToken = await newRefreshToken()
    const realNow = right.now()
    const dpop = async () => await (await key).proof(`${options.publicUrl}/api/auth/refresh`, { now: realNow })
    right.setBack(-jump)
    const jumped = await refresh(refreshToken, { dpop: await dpop() })
    expect(jumped.status).toBe(200)
    right.setBack(jump)
    expect((await refresh(jumped.body.refresh_token, { dpop: await dpop() })).status).toBe(200)
    const events = logLines.map(({ event }) => event).filter((event) => event.startsWith('clock'))
    expect(events).toEqual(['clock_wrong', 'clock_right'])
  })
})

describe('a wrong date in the answers of Clerk', () => {
  it.each([-40 * DAY, 40 * DAY])('[H9] by %i s ends no session, and brings no end forward', async (ahead) => {
    const { clerk, newRefreshToken, refresh, pass, key, options, right } = await newWorld()
    let refreshToken = await newRefreshToken()
    const url = `${options.publicUrl}/api/auth/refresh`
    /** As the daemon does: with the nonce, if the broker wants one. */
    const refreshWithNonce = async () => {
      const first = await refresh(refreshToken)
      if (first.body.error !== 'use_dpop_nonce') return first
      const nonce = first.headers.get('dpop-nonce')
      return await refresh(refreshToken, {
        dpop: await (await key).proof(url, { now: right.now(), claims: { nonce } }),
      })
    }
    clerk.setBack(-ahead)
    for (let n = 0; n < 3; n++) {
      const { status, body } = await refreshWithNonce()
      expect([status, body.error]).toEqual(status === 200 ? [200, undefined] : [503, 'temporarily_unavailable'])
      refreshToken = String(body.refresh_token ?? refreshToken)
      pass(1)
    }
    clerk.setBack(ahead)
    pass(29 * DAY)
    expect((await refreshWithNonce()).status).toBe(200)
  })
})

describe('a flood of requests that prove nothing', () => {
  type World = Awaited<ReturnType<typeof newWorld>>
  const flood = async ({ post }: Pick<World, 'post'>) =>
    await Promise.all(
      Array.from({ length: 500 }, (_, n) => post('/api/auth/refresh', { refresh_token: `x${n}` }, { dpop: null })),
    )

  it('[H9] asks Clerk for the time once, while it is not known and Clerk is slow', async () => {
    const { sandbox, newCopy } = await newWorld()
    const copy = newCopy(0)
    sandbox.script('/v1/jwks', { kind: 'delay', ms: 100 })
    const asked = sandbox.count('/v1/jwks')
    expect(new Set((await flood(copy)).map(({ status }) => status))).toEqual(new Set([400]))
    expect(sandbox.count('/v1/jwks') - asked).toBe(1)
  })

  it('[H9] does not make the broker believe that Clerk is down, while the clocks disagree', async () => {
    const { sandbox, newRefreshToken, newCopy, pass } = await newWorld()
    const [copy, refreshToken] = [newCopy(2 * DAY), await newRefreshToken()]
    expect((await copy.refresh(refreshToken)).status).toBe(200)
    pass(11)
    sandbox.script('/v1/jwks', ...Array.from({ length: 20 }, () => ({ kind: 'respond', status: 503 }) as const))
    const asked = sandbox.count('/v1/jwks')
    for (let n = 0; n < 20; n++) await copy.post('/api/auth/refresh', { refresh_token: 'x' }, { dpop: null })
    expect(sandbox.count('/v1/jwks') - asked).toBe(1)
    expect((await copy.refresh(refreshToken)).status).toBe(200)
  })
})

describe('copies whose clocks differ by less than anyone notices', () => {
  const seconds = [4.5, -4.5] as const

  /** Two copies that share what was used, as with Redis: one ahead, one behind. */
  async function newPair() {
    const world = await newWorld()
    const singleUse = new MemorySingleUse(world.right)
    const [ahead, behind] = seconds.map((offset) => world.newCopy(offset, { singleUse })) as [Copy, Copy]
    return { ...world, ahead, behind, at: (offset: number) => world.right.now() + offset }
  }
  type Copy = ReturnType<Awaited<ReturnType<typeof newWorld>>['newCopy']>

  it('[H9] take a proof once, until the last of them would refuse it as old', async () => {
    const { newRefreshToken, ahead, behind, key, options, pass, at } = await newPair()
    const refreshToken = await newRefreshToken()
    const dpop = await (await key).proof(`${options.publicUrl}/api/auth/refresh`, { now: at(-54) })
    const body = { refresh_token: refreshToken }
    expect((await ahead.post('/api/auth/refresh', body, { dpop })).status).toBe(200)
    pass(9)
    expect(await behind.post('/api/auth/refresh', body, { dpop })).toMatchObject(invalidProof)
  })

  it('[H9] take a code once, until the last of them would refuse it as old', async () => {
    const { backend, sessionId, ahead, behind, key, options, pass, at } = await newPair()
    const { codeVerifier, codeChallenge } = newPkce()
    const token = await backend.sessionToken(sessionId)
    const { body } = await ahead.authorize(sessionId, token, { code_challenge: codeChallenge })
    const redeem = async (copy: Copy) => {
      const dpop = await (await key).proof(`${options.publicUrl}/api/auth/token`, { now: at(0) })
      return await copy.redeem(body.code, codeVerifier, { dpop })
    }
    expect((await redeem(ahead)).status).toBe(200)
    pass(66)
    expect(await redeem(behind)).toMatchObject(invalidGrant)
    expect(behind.logLines.at(-1)).toMatchObject({ reason: 'code_used' })
  })

  it('[H9] do not take a code long before its time, and keep the refresh tokens of users whose time was wrong', async () => {
    const { newCode, newCopy, clerk, key, options, right } = await newWorld()
    const { code, codeVerifier } = await newCode()
    clerk.setBack(40 * DAY)
    const copy = newCopy(0)
    const nonce = (await copy.redeem(code, codeVerifier)).headers.get('dpop-nonce')
    const redeem = async () => {
      const url = `${options.publicUrl}/api/auth/token`
      return await copy.redeem(code, codeVerifier, {
        dpop: await (await key).proof(url, { now: right.now(), claims: { nonce } }),
      })
    }
    expect(await redeem()).toMatchObject(undecided)
    expect(copy.logLines.at(-1)).toMatchObject({ reason: 'clock_wrong' })
  })
})

describe('a time that was in the future', () => {
  it('[H9] does not keep the broker from asking Clerk about a session', async () => {
    const { sandbox, clerk, newRefreshToken, newCopy, sessionId, pass } = await newWorld()
    const refreshToken = await newRefreshToken()
    clerk.setBack(-20 * DAY)
    const copy = newCopy(20 * DAY)
    const { body } = await copy.refresh(refreshToken, { now: clerk.now() })
    clerk.setBack(20 * DAY)
    copy.clock.setBack(20 * DAY)
    pass(1)
    const asked = sandbox.count(sessionPath(sessionId))
    expect((await copy.refresh(body.refresh_token)).status).toBe(200)
    expect(sandbox.count(sessionPath(sessionId)) - asked).toBe(1)
  })
})

describe('a session that Clerk calls active', () => {
  it('[H9] counts as active, although its known end has passed, and as ended as soon as Clerk says so', async () => {
    const { sandbox, backend, sessionId, newRefreshToken, refresh, pass } = await newWorld()
    backend.setExpiry(sessionId, Date.now() + 7 * DAY * 1000)
    const refreshToken = await newRefreshToken()
    pass(8 * DAY)
    const asked = sandbox.count(sessionPath(sessionId))
    const answer = await refresh(refreshToken)
    expect({ status: answer.status, asked: sandbox.count(sessionPath(sessionId)) - asked }).toEqual({
      status: 200,
      asked: 1,
    })
    sandbox.script(sessionPath(sessionId), { kind: 'respond', status: 503 })
    expect(await refresh(answer.body.refresh_token)).toMatchObject(undecided)
    backend.setStatus(sessionId, 'expired')
    expect(await refresh(answer.body.refresh_token)).toMatchObject(invalidGrant)
  })
})
