// Sessions longer than the instance's limit: the broker moves their end forward, on instances that let it.
import { describe, expect, it } from 'vitest'
import type { BrokerOptions } from '../../src/broker/broker.ts'
import { newBrokerWorld, sessionPath, tokensPath } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'

const DAY = 86_400 // s
const near = (seconds: number) => expect.toSatisfy((value: number) => Math.abs(value - seconds) < 5)

/** A world with the real time at first, in which a session is handed over. */
async function newWorld(overrides: Partial<BrokerOptions>, allowed = true, refusal?: 402 | 403 | 404 | 405 | 422) {
  const clock = new TestClock(Date.now() / 1000)
  const world = await newBrokerWorld({ clock, ...overrides })
  world.backend.setCustomLimits(allowed, refusal)
  const { code, codeVerifier } = await world.newCode()
  const { body } = await world.redeem(code, codeVerifier)
  const patches = () => world.sandbox.requests.filter(({ method }) => method === 'PATCH').length
  const endOf = () => world.backend.expiryOf(world.sessionId) / 1000
  return { ...world, clock, body, patches, endOf }
}

describe('a session', () => {
  it('is left alone by default', async () => {
    const { body, patches, clock } = await newWorld({})
    expect(patches()).toBe(0)
    expect(body.session_expires_at).toEqual(near(clock.now() + 7 * DAY))
  })

  it('is extended at the first exchange, and then once a day while the user is active', async () => {
    const { body, patches, clock, endOf, refresh } = await newWorld({
      sessionSeconds: 20 * DAY,
      requestsPerMinute: 1000,
    })
    expect(patches()).toBe(1)
    expect(body.session_expires_at).toEqual(near(clock.now() + 20 * DAY))
    expect(endOf()).toEqual(near(clock.now() + 20 * DAY))
    let refreshToken = body.refresh_token
    for (let hour = 0; hour < 49; hour++) {
      clock.advance(3600)
      refreshToken = (await refresh(refreshToken)).body.refresh_token
    }
    expect(patches()).toBe(3)
    expect(endOf()).toEqual(near(clock.now() + 20 * DAY - 3600))
  })

  it('is never extended beyond the end of the chain', async () => {
    const { clock, endOf, refresh, body, patches } = await newWorld({
      sessionSeconds: 20 * DAY,
      chainSeconds: 10 * DAY,
    })
    expect(endOf()).toEqual(near(clock.now() + 10 * DAY))
    clock.advance(2 * DAY)
    await refresh(body.refresh_token)
    expect(patches()).toBe(1)
  })

  it('is left alone if someone else uses it as this user', async () => {
    const { backend, sandbox, exchange, refresh } = await newWorld({ sessionSeconds: 20 * DAY })
    const sessionId = backend.createSession({ lifetimeSeconds: 1800, actor: 'user_2support' })
    const patched = () =>
      sandbox.requests.filter((one) => one.method === 'PATCH' && one.path === sessionPath(sessionId))
    const { status, body } = await exchange(sessionId, await backend.sessionToken(sessionId))
    expect(status).toBe(200)
    expect(body.session_expires_at).toEqual(near(Date.now() / 1000 + 1800))
    expect((await refresh(body.refresh_token)).status).toBe(200)
    expect(patched()).toEqual([])
  })

  it('is never made shorter', async () => {
    const { patches, endOf, clock } = await newWorld({ sessionSeconds: 2 * DAY })
    expect(patches()).toBe(0)
    expect(endOf()).toEqual(near(clock.now() + 7 * DAY))
  })

  it('is extended in seconds if the instance counts in seconds', async () => {
    const clock = new TestClock(Date.now() / 1000)
    const { sandbox, sessionId, newCode, redeem } = await newBrokerWorld({ clock, sessionSeconds: 20 * DAY })
    const inSeconds = (body: unknown) => ({ ...(body as object), expire_at: Math.floor(clock.now()) + 7 * DAY })
    const sent: unknown[] = []
    sandbox.script(sessionPath(sessionId), { kind: 'replace', body: inSeconds })
    sandbox.script(sessionPath(sessionId), {
      kind: 'replace',
      status: 200,
      body: (body) => {
        sent.push(body)
        return {
          object: 'session',
          id: sessionId,
          user_id: sandbox.user.id,
          status: 'active',
          expire_at: Math.floor(clock.now()) + 20 * DAY,
        }
      },
    })
    const { code, codeVerifier } = await newCode()
    const { body } = await redeem(code, codeVerifier)
    expect(body.session_expires_at).toEqual(near(clock.now() + 20 * DAY))
    expect(sent).toHaveLength(1)
  })

  it.each([402, 403, 404, 405, 422] as const)(
    'keeps its end if the instance answers %i, which is logged once and tried again after an hour',
    async (status) => {
      const { body, patches, clock, refresh, logLines, backend, endOf } = await newWorld(
        { sessionSeconds: 20 * DAY },
        false,
        status,
      )
      expect(body.session_expires_at).toEqual(near(clock.now() + 7 * DAY))
      let refreshToken = body.refresh_token
      for (const minutes of [1, 30, 27]) {
        clock.advance(minutes * 60)
        const answer = await refresh(refreshToken)
        expect(answer.status).toBe(200)
        refreshToken = answer.body.refresh_token
      }
      expect(patches()).toBe(1)
      clock.advance(3 * 60)
      await refresh(refreshToken)
      expect(patches()).toBe(2)
      expect(logLines.filter(({ event }) => event === 'session_limit_refused')).toEqual([
        { event: 'session_limit_refused', status },
      ])
      backend.setCustomLimits(true)
      clock.advance(3600)
      await refresh(refreshToken)
      expect(endOf()).toEqual(near(clock.now() + 20 * DAY))
    },
  )

  it('is refreshed all the same if Clerk fails to extend it', async () => {
    const { body, clock, refresh, sandbox, sessionId } = await newWorld({ sessionSeconds: 20 * DAY })
    clock.advance(DAY + 60)
    sandbox.script(sessionPath(sessionId), { kind: 'pass' }, { kind: 'respond', status: 500 })
    expect((await refresh(body.refresh_token)).status).toBe(200)
  })
})

describe('a refresh', () => {
  it('costs one request to Clerk, and a second one in an hour', async () => {
    const clock = new TestClock(Date.now() / 1000)
    const world = await newBrokerWorld({ clock, requestsPerMinute: 1000 })
    const { sandbox, sessionId, newRefreshToken, refresh } = world
    let refreshToken: unknown = await newRefreshToken()
    for (let minute = 0; minute < 120; minute++) {
      clock.advance(60)
      refreshToken = (await refresh(refreshToken)).body.refresh_token
    }
    const [tokens, checks] = [sandbox.count(tokensPath(sessionId)), sandbox.count(sessionPath(sessionId))]
    expect({ tokens, checks }).toEqual({ tokens: 1 + 120, checks: 1 + 2 })
  })

  it('learns of a new end of the session at the hourly check, which may fail', async () => {
    const clock = new TestClock(Date.now() / 1000)
    const { sandbox, backend, sessionId, newRefreshToken, refresh } = await newBrokerWorld({ clock })
    const refreshToken = await newRefreshToken()
    backend.setExpiry(sessionId, (clock.now() + 30 * DAY) * 1000)
    clock.advance(3600)
    sandbox.script(sessionPath(sessionId), { kind: 'respond', status: 503 })
    const unchecked = await refresh(refreshToken)
    expect(unchecked.body.session_expires_at).toEqual(near(clock.now() - 3600 + 7 * DAY))
    const checked = await refresh(unchecked.body.refresh_token)
    expect(checked.body.session_expires_at).toEqual(near(clock.now() - 3600 + 30 * DAY))
  })
})
