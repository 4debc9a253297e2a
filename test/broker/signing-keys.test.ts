// Clerk’s public keys: fetched once for all, again by a timer and for a new key, and never at the price of other users.
import { importJWK, type JWK, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { newSigningKey } from '../sandbox/keys.ts'
import { invalidGrant, newBrokerWorld, PAGE_ORIGIN } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'

const unavailable = { status: 503, body: { error: 'temporarily_unavailable' } }

async function newWorld() {
  const clock = new TestClock(Date.now() / 1000)
  const world = await newBrokerWorld({ clock, requestsPerMinute: 1000 })
  const stranger = await newSigningKey()
  const privateKey = await importJWK(stranger.jwk as JWK, 'RS256')
  /** A well-formed token under a key of the stranger's. */
  const forge = async (kid: string) =>
    await new SignJWT({ sid: world.sessionId, azp: PAGE_ORIGIN, jti: 'a' })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', cat: 'cl_B7d4PD111AAA', kid })
      .setIssuer(world.sandbox.issuer)
      .setSubject(world.sandbox.user.id)
      .setIssuedAt()
      .setExpirationTime('1m')
      .sign(privateKey)
  const authorize = async (token?: string) =>
    await world.authorize(world.sessionId, token ?? (await world.backend.sessionToken(world.sessionId)))
  const fetches = () => world.sandbox.count('/v1/jwks')
  return { ...world, clock, forge, authorize, fetches }
}

describe('Clerk’s keys', () => {
  it('are fetched once for all who need them', async () => {
    const { authorize, fetches } = await newWorld()
    const answers = await Promise.all(Array.from({ length: 20 }, () => authorize()))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(fetches()).toBe(1)
  })

  it('are fetched again once in an hour, and again soon after a failure', async () => {
    const { authorize, fetches, clock, sandbox, broker } = await newWorld()
    await authorize()
    sandbox.script('/v1/jwks', { kind: 'respond', status: 500 })
    const failed = sandbox.arrived('/v1/jwks')
    clock.advance(3600)
    await failed
    expect(broker.isReady()).toBe(true) // the keys that were fetched before still verify
    await expect.poll(fetches).toBe(2)
    broker.close()
    clock.advance(10_000)
    expect(fetches()).toBe(2)
  })

  it('are fetched for a key id that is new, so that Clerk can rotate its keys', async () => {
    const { authorize, sandbox, clock, fetches } = await newWorld()
    await authorize()
    await sandbox.rotateKeys()
    const [one, other] = await Promise.all([authorize(), authorize()])
    expect([one, other]).toMatchObject([unavailable, unavailable]) // the keys are ten seconds old at most: not yet known
    expect(one.headers.get('retry-after')).toBe('10')
    clock.advance(10)
    expect((await authorize()).status).toBe(200)
    expect(fetches()).toBe(2)
  })

  it('are fetched at most every ten seconds for invented key ids, which refuse no other user', async () => {
    const { authorize, forge, fetches, clock } = await newWorld()
    await authorize()
    const honest: number[] = []
    for (let second = 0; second < 60; second++) {
      const junk = await Promise.all([forge(`ins_2a${second}`), forge(`ins_2b${second}`)])
      const answers = await Promise.all([...junk.map((token) => authorize(token)), authorize()])
      for (const answer of answers.slice(0, 2)) expect([400, 503]).toContain(answer.status)
      honest.push(Number(answers[2]?.status))
      clock.advance(1)
    }
    expect(honest).toEqual(honest.map(() => 200))
    expect(fetches()).toBeLessThanOrEqual(7)
  })

  it('do not verify a token that a stranger signed under a key id of Clerk’s', async () => {
    const { authorize, forge, backend, sessionId } = await newWorld()
    const token = await backend.sessionToken(sessionId)
    const { kid } = JSON.parse(Buffer.from(String(token.split('.')[0]), 'base64url').toString())
    expect(await authorize(await forge(kid))).toMatchObject(invalidGrant)
  })
})
