// Refreshes at the broker, against the sandbox's Backend API through Clerk's own SDK: accepted and rejected sessions and tokens.
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, importJWK, type JWK, jwtVerify, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { newSigningKey } from '../sandbox/keys.ts'
import { invalidGrant, newBroker, newBrokerWorld, newKey, sessionPath, tokensPath } from '../support/broker.ts'

const WEEK = 7 * 86_400 // s
const interactionRequired = { status: 400, body: { error: 'interaction_required' } }

describe('a refresh', () => {
  it('trades a valid session token for a new one and a refresh token', async () => {
    const { sandbox, backend, sessionId, exchange } = await newBrokerWorld()
    const token = await backend.sessionToken(sessionId, { azp: 'https://www.example.com' })
    const { status, headers, body } = await exchange(sessionId, token)
    expect({ status, cacheControl: headers.get('cache-control') }).toEqual({ status: 200, cacheControl: 'no-store' })
    expect(body).toEqual({
      token: expect.any(String),
      expires_in: 60,
      session_id: sessionId,
      refresh_token: expect.stringMatching(/^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/),
      session_expires_at: expect.any(Number),
    })
    const jwks = createRemoteJWKSet(new URL(`${sandbox.issuer}/.well-known/jwks.json`))
    const { payload } = await jwtVerify(String(body.token), jwks, { issuer: sandbox.issuer })
    expect(payload).toMatchObject({ sub: sandbox.user.id, sid: sessionId })
    expect(Math.abs(Number(body.session_expires_at) - Date.now() / 1000 - WEEK)).toBeLessThan(60)
  })

  it('accepts the previous refresh token again, so that a client can retry after a lost answer', async () => {
    const { newRefreshToken, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const lost = await refresh(refreshToken)
    const retried = await refresh(refreshToken)
    const next = await refresh(retried.body.refresh_token)
    expect([lost.status, retried.status, next.status]).toEqual([200, 200, 200])
  })

  it('issues tokens from the configured template', async () => {
    const { backend, newRefreshToken, refresh } = await newBrokerWorld({ template: 'cadzero' })
    backend.addTemplate('cadzero', 900)
    const { body } = await refresh(await newRefreshToken())
    expect(body.expires_in).toBe(900)
    expect(decodeJwt(String(body.token)).sid).toBeUndefined()
  })

  it('issues tokens with the configured lifetime', async () => {
    const { newRefreshToken, refresh } = await newBrokerWorld({ tokenSeconds: 300 })
    expect((await refresh(await newRefreshToken())).body.expires_in).toBe(300)
  })

  it('accepts a refresh token from another copy with the same key', async () => {
    const { sandbox, newRefreshToken, options, key } = await newBrokerWorld()
    const copy = newBroker(sandbox, options, key)
    expect((await copy.refresh(await newRefreshToken())).status).toBe(200)
  })

  it('accepts a refresh token under an older key until that key is removed', async () => {
    const { sandbox, newRefreshToken, options, key } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const rotated = newBroker(sandbox, { ...options, keys: [newKey(), ...options.keys] }, key)
    const { status, body } = await rotated.refresh(refreshToken)
    expect(status).toBe(200)
    const replaced = newBroker(sandbox, { ...options, keys: [newKey()] }, key)
    expect(await replaced.refresh(body.refresh_token)).toMatchObject({ status: 503, body: { error: 'unknown_key' } })
  })
})

describe('the limit of a user', () => {
  it('answers 429 with Retry-After beyond it, and leaves other users alone', async () => {
    const { backend, sessionId, newRefreshToken, refresh, exchange } = await newBrokerWorld({ requestsPerMinute: 4 })
    const refreshToken = await newRefreshToken()
    for (let n = 0; n < 3; n++) expect((await refresh(refreshToken)).status).toBe(200)
    const refused = await refresh(refreshToken)
    expect(refused).toMatchObject({ status: 429, body: { error: 'temporarily_unavailable' } })
    expect(refused.headers.get('retry-after')).toMatch(/^(59|60)$/)
    expect((await exchange(sessionId, await backend.sessionToken(sessionId))).status).toBe(429)
    const ofAnotherUser = backend.createSession({ userId: 'user_2other' })
    expect((await exchange(ofAnotherUser, await backend.sessionToken(ofAnotherUser))).status).toBe(200)
  })
})

describe('a session that has ended', () => {
  it.each(['revoked', 'ended', 'expired', 'removed', 'abandoned', 'replaced'] as const)(
    'answers invalid_grant if Clerk calls it %s',
    async (status) => {
      const { backend, sessionId, newRefreshToken, refresh, exchange } = await newBrokerWorld()
      const [refreshToken, token] = [await newRefreshToken(), await backend.sessionToken(sessionId)]
      backend.setStatus(sessionId, status)
      expect(await refresh(refreshToken)).toMatchObject(invalidGrant)
      expect(await exchange(sessionId, token)).toMatchObject(invalidGrant)
    },
  )

  it('answers invalid_grant if Clerk does not know it', async () => {
    const { sandbox, sessionId, newRefreshToken, options, key, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    sandbox.backend.remove(sessionId)
    expect(await refresh(refreshToken)).toMatchObject(invalidGrant)
    // A copy that has just started first makes sure that its secret key is that of the instance.
    expect(await newBroker(sandbox, options, key).refresh(refreshToken)).toMatchObject(invalidGrant)
  })

  it('answers invalid_grant if Clerk has banned its user', async () => {
    const { sandbox, backend, newRefreshToken, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    backend.ban(sandbox.user.id)
    expect(await refresh(refreshToken)).toMatchObject(invalidGrant)
  })
})

describe('a pending session', () => {
  it('gets interaction_required and no token until the user completes the step at Clerk', async () => {
    const { backend, sessionId, newRefreshToken, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    backend.setStatus(sessionId, 'pending')
    expect(await refresh(refreshToken)).toMatchObject(interactionRequired)
    backend.setStatus(sessionId, 'active')
    expect((await refresh(refreshToken)).status).toBe(200)
  })

  it('is refused by the sts claim of its token, before the broker asks Clerk about the session', async () => {
    const { sandbox, backend, sessionId, exchange } = await newBrokerWorld()
    const token = await backend.sessionToken(sessionId, { claims: { sts: 'pending' } })
    expect(await exchange(sessionId, token)).toMatchObject(interactionRequired)
    expect(sandbox.count(sessionPath(sessionId))).toBe(0)
    expect(sandbox.count(tokensPath(sessionId))).toBe(0)
  })

  it('is refused by its status at Clerk if its token is older and says active', async () => {
    const { backend, sessionId, exchange } = await newBrokerWorld()
    const token = await backend.sessionToken(sessionId)
    backend.setStatus(sessionId, 'pending')
    expect(await exchange(sessionId, token)).toMatchObject(interactionRequired)
  })
})

describe('the first exchange', () => {
  it('refuses an expired, forged, foreign or altered session token, and one of another session or user', async () => {
    const { sandbox, backend, sessionId, exchange } = await newBrokerWorld()
    const sessionOfAnotherUser = backend.createSession({ userId: 'user_2other' })
    const anotherSession = backend.createSession()
    const { kid } = decodeProtectedHeader(await backend.sessionToken(sessionId))
    const key = await newSigningKey()
    const forged = await new SignJWT({ sid: sessionId })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: String(kid) })
      .setIssuer(sandbox.issuer)
      .setSubject(sandbox.user.id)
      .setIssuedAt()
      .setExpirationTime('1m')
      .sign(await importJWK(key.jwk as JWK, 'RS256'))
    const tokens = {
      forged,
      expired: await backend.sessionToken(sessionId, { issuedSecondsAgo: 120 }),
      'of another user’s session': await backend.sessionToken(sessionOfAnotherUser),
      'of the user’s other session': await backend.sessionToken(anotherSession),
      'of another user': await backend.sessionToken(sessionId, { claims: { sub: 'user_2other' } }),
      'without its signature': (await backend.sessionToken(sessionId)).replace(/\.[^.]+$/, '.AAAA'),
    }
    for (const [name, token] of Object.entries(tokens)) {
      expect(await exchange(sessionId, token), name).toMatchObject(invalidGrant)
    }
    expect(sandbox.count(tokensPath(sessionOfAnotherUser))).toBe(0)
  })
})
