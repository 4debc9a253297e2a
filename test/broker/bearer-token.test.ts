// The bearer refresh tokens of version 1.0, until they are bound or outdated.
import { createHash } from 'node:crypto'
import { EncryptJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import type { BrokerOptions } from '../../src/broker/broker.ts'
import { invalidGrant, invalidProof, newBroker, newBrokerWorld } from '../support/broker.ts'
import { newDpopKey } from '../support/dpop.ts'

const DAY = 86_400 // s

/** A world with a refresh token as version 1.0 made it. */
async function newOldWorld(overrides: Partial<BrokerOptions> = {}, issuedSecondsAgo = 60) {
  const world = await newBrokerWorld(overrides)
  const { options, sessionId, sandbox } = world
  const [secret = new Uint8Array()] = options.keys
  const kid = createHash('sha256').update(secret).digest('base64url').slice(0, 11)
  const issuedAt = Math.floor(Date.now() / 1000) - issuedSecondsAgo
  const oldToken = await new EncryptJWT({ sid: sessionId })
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', typ: 'cadzero-refresh+jwt', kid })
    .setIssuer(sandbox.issuer)
    .setSubject(sandbox.user.id)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + 7 * DAY)
    .encrypt(secret)
  return { ...world, oldToken }
}

describe('a bearer token of version 1.0', () => {
  it('is bound to the key of its first proof', async () => {
    const { sandbox, options, oldToken, refresh } = await newOldWorld()
    const { body } = await refresh(oldToken)
    expect((await refresh(body.refresh_token)).status).toBe(200)
    const thief = newBroker(sandbox, options, newDpopKey())
    expect(await thief.refresh(body.refresh_token)).toMatchObject(invalidProof)
  })

  it('is refreshed without a proof for an old daemon, and ends its session at logout', async () => {
    const { backend, sessionId, oldToken, refresh, logout } = await newOldWorld()
    const { status, body } = await refresh(oldToken, { dpop: null })
    expect(status).toBe(200)
    expect((await refresh(body.refresh_token, { dpop: null })).status).toBe(200)
    expect(await logout(body.refresh_token, { dpop: null })).toMatchObject({ status: 200, body: { revoked: true } })
    expect(backend.status(sessionId)).toBe('revoked')
  })

  it('is refused from the operator’s date on, with and without a proof', async () => {
    const { oldToken, refresh } = await newOldWorld({ unboundUntil: Date.now() / 1000 - 1 })
    expect(await refresh(oldToken, { dpop: null })).toMatchObject(invalidGrant)
    expect(await refresh(oldToken)).toMatchObject(invalidGrant)
    const before = await newOldWorld({ unboundUntil: Date.now() / 1000 + 60 })
    expect((await before.refresh(before.oldToken, { dpop: null })).status).toBe(200)
  })

  it('starts its chain at its time of issue, which no refresh moves', async () => {
    const { oldToken, refresh } = await newOldWorld({ chainSeconds: 3 * DAY }, 3 * DAY + 1)
    expect(await refresh(oldToken)).toMatchObject(invalidGrant)
  })

  it('is not issued any more, unless the operator says so', async () => {
    const { backend, sessionId, exchange } = await newBrokerWorld()
    const token = await backend.sessionToken(sessionId)
    expect(await exchange(sessionId, token, { dpop: null })).toMatchObject(invalidProof)
    expect((await exchange(sessionId, token)).status).toBe(200)
    const unbound = await newBrokerWorld({ sessionTokens: 'unbound' })
    const old = await unbound.backend.sessionToken(unbound.sessionId)
    const { body } = await unbound.exchange(unbound.sessionId, old, { dpop: null })
    expect((await unbound.refresh(body.refresh_token, { dpop: null })).status).toBe(200)
  })

  it('is not issued at all if the operator has switched the exchange of session tokens off', async () => {
    const { backend, sessionId, exchange, newCode, redeem } = await newBrokerWorld({ sessionTokens: 'off' })
    expect(await exchange(sessionId, await backend.sessionToken(sessionId))).toMatchObject(invalidGrant)
    const { code, codeVerifier } = await newCode()
    expect((await redeem(code, codeVerifier)).status).toBe(200)
  })
})
