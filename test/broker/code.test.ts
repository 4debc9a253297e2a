// Hand-off 2: the page's session token for a code, the daemon's code for tokens that are bound to its key (RFC 7636, RFC 9449).
import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import {
  invalidGrant,
  invalidProof,
  newBroker,
  newBrokerWorld,
  newKey,
  newPkce,
  PAGE_ORIGIN,
  REDIRECT_URI,
  sessionPath,
  tokensPath,
} from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'
import { newDpopKey } from '../support/dpop.ts'

const invalidRequest = { status: 400, body: { error: 'invalid_request' } }

describe('a code', () => {
  it('is exchanged for tokens, and for the user as Clerk knows them', async () => {
    const { sandbox, sessionId, newCode, redeem, refresh } = await newBrokerWorld()
    const { code, codeVerifier } = await newCode()
    const { status, headers, body } = await redeem(code, codeVerifier)
    expect({ status, cacheControl: headers.get('cache-control') }).toEqual({ status: 200, cacheControl: 'no-store' })
    expect(body).toEqual({
      token: expect.any(String),
      expires_in: 60,
      session_id: sessionId,
      refresh_token: expect.any(String),
      session_expires_at: expect.any(Number),
      user: sandbox.user,
    })
    expect(decodeJwt(String(body.token))).toMatchObject({ sub: sandbox.user.id, sid: sessionId })
    expect((await refresh(body.refresh_token)).status).toBe(200)
  })

  it('costs no request to Clerk but the one for its public keys', async () => {
    const { sandbox, newCode } = await newBrokerWorld()
    await newCode()
    await newCode()
    expect(sandbox.requests.map(({ path }) => path)).toEqual(['/v1/jwks'])
  })

  it('is used once', async () => {
    const { newCode, redeem } = await newBrokerWorld()
    const { code, codeVerifier } = await newCode()
    const answers = await Promise.all(Array.from({ length: 5 }, () => redeem(code, codeVerifier)))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 400, 400, 400, 400])
    expect(await redeem(code, codeVerifier)).toMatchObject(invalidGrant)
  })

  it('can be sent again if Clerk failed', async () => {
    const { sandbox, sessionId, newCode, redeem } = await newBrokerWorld()
    const { code, codeVerifier } = await newCode()
    for (const path of [sessionPath(sessionId), tokensPath(sessionId), `/v1/users/${sandbox.user.id}`]) {
      sandbox.script(path, { kind: 'respond', status: 503 })
      expect(await redeem(code, codeVerifier), path).toMatchObject({ status: 503 })
    }
    expect((await redeem(code, codeVerifier)).status).toBe(200)
  })

  it('is refused with another verifier, another redirect address or after a minute', async () => {
    const clock = new TestClock(Date.now() / 1000)
    const { sandbox, newCode, redeem, post } = await newBrokerWorld({ clock })
    const { code, codeVerifier } = await newCode()
    expect(await redeem(code, newPkce().codeVerifier)).toMatchObject(invalidGrant)
    const elsewhere = { code, code_verifier: codeVerifier, redirect_uri: `${REDIRECT_URI}x` }
    expect(await post('/api/auth/token', elsewhere)).toMatchObject(invalidGrant)
    clock.advance(61)
    expect(await redeem(code, codeVerifier)).toMatchObject(invalidGrant)
    expect(sandbox.requests.map(({ path }) => path)).toEqual(['/v1/jwks'])
  })

  it('is no refresh token, and a refresh token is no code', async () => {
    const { newCode, newRefreshToken, redeem, refresh } = await newBrokerWorld()
    const { code, codeVerifier } = await newCode()
    expect(await refresh(code)).toMatchObject(invalidGrant)
    expect(await redeem(await newRefreshToken(), codeVerifier)).toMatchObject(invalidGrant)
  })

  it('is accepted by another copy with the same keys, and answered with unknown_key by one without', async () => {
    const { sandbox, newCode, options } = await newBrokerWorld()
    const { code, codeVerifier } = await newCode()
    const other = newBroker(sandbox, { ...options, keys: [newKey()] })
    const answer = await other.redeem(code, codeVerifier)
    expect(answer).toMatchObject({ status: 503, body: { error: 'unknown_key' } })
    expect(answer.headers.get('retry-after')).toBe('5')
    expect((await newBroker(sandbox, options).redeem(code, codeVerifier)).status).toBe(200)
  })

  it('needs a proof', async () => {
    const { newCode, redeem } = await newBrokerWorld()
    const { code, codeVerifier } = await newCode()
    expect(await redeem(code, codeVerifier, { dpop: null })).toMatchObject(invalidProof)
    expect((await redeem(code, codeVerifier)).status).toBe(200)
  })

  it('gives tokens that only the key of its proof can refresh', async () => {
    const { sandbox, newCode, redeem, options } = await newBrokerWorld()
    const { code, codeVerifier } = await newCode()
    const { refresh_token: refreshToken } = (await redeem(code, codeVerifier)).body
    const thief = newBroker(sandbox, options, newDpopKey())
    expect(await thief.refresh(refreshToken)).toMatchObject(invalidProof)
    expect(await thief.refresh(refreshToken, { dpop: null })).toMatchObject(invalidProof)
    expect(await thief.logout(refreshToken)).toMatchObject(invalidProof)
  })

  it.each<[string, object]>([
    ['no challenge', { code_challenge: undefined }],
    ['a short challenge', { code_challenge: 'abc' }],
    ['the method plain', { code_challenge_method: 'plain' }],
    ['no method', { code_challenge_method: undefined }],
    ['another host', { redirect_uri: 'http://evil.example:8765/' }],
    ['a host that a parser takes for loopback', { redirect_uri: 'http://2130706433:8765/' }],
    ['https', { redirect_uri: 'https://localhost:8765/' }],
    ['a user', { redirect_uri: 'http://localhost:8765@evil.example/' }],
    ['a backslash', { redirect_uri: 'http://localhost:8765\\@evil.example/' }],
    ['a fragment', { redirect_uri: 'http://localhost:8765/#x' }],
    ['a privileged port', { redirect_uri: 'http://localhost:80/' }],
    ['a port that is none', { redirect_uri: 'http://localhost:65536/' }],
    ['a line end', { redirect_uri: 'http://localhost:8765/\n' }],
    ['an address of 3 KB', { redirect_uri: `http://localhost:8765/?${'x'.repeat(3000)}` }],
    ['a path as session', { session_id: '../users' }],
  ])('is not issued for %s', async (_name, over) => {
    const { backend, sessionId, authorize } = await newBrokerWorld()
    const token = await backend.sessionToken(sessionId)
    expect(await authorize(sessionId, token, over)).toMatchObject(invalidRequest)
    expect((await authorize(sessionId, token)).status).toBe(200)
  })

  it.each(['http://127.0.0.1:49152/callback?state=x', 'http://[::1]:1024', 'http://localhost:65535/'])(
    'is issued for %s',
    async (uri) => {
      const { backend, sessionId, authorize } = await newBrokerWorld()
      const answer = await authorize(sessionId, await backend.sessionToken(sessionId), { redirect_uri: uri })
      expect(answer).toMatchObject({ status: 200, body: { code: expect.any(String), expires_in: 60 } })
    },
  )
})

describe('the endpoint for codes', () => {
  const preflight = (origin: string) => ({
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'POST' },
  })

  it('answers the preflight of a listed page, and of no other', async () => {
    const { broker } = await newBrokerWorld()
    const url = 'https://api.example.com/api/auth/code'
    const listed = await broker(new Request(url, preflight(PAGE_ORIGIN)))
    expect(listed.status).toBe(204)
    expect(Object.fromEntries(listed.headers)).toEqual({
      'access-control-allow-origin': PAGE_ORIGIN,
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': 'authorization, content-type',
      'access-control-max-age': '600',
      vary: 'Origin',
    })
    for (const origin of ['https://evil.example', 'null', `${PAGE_ORIGIN}.evil.example`, 'http://www.example.com']) {
      const other = await broker(new Request(url, preflight(origin)))
      expect(other.status, origin).toBe(405)
      expect(other.headers.get('access-control-allow-origin'), origin).toBeNull()
    }
  })

  it.each(['token', 'refresh', 'logout'])('has a neighbour, %s, that no page may call', async (route) => {
    const { broker } = await newBrokerWorld()
    const response = await broker(new Request(`https://api.example.com/api/auth/${route}`, preflight(PAGE_ORIGIN)))
    expect(response.status).toBe(405)
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
  })

  it('lets a listed page read the answer, and its errors as well', async () => {
    const { backend, sessionId, authorize } = await newBrokerWorld()
    const token = await backend.sessionToken(sessionId)
    const answers = [await authorize(sessionId, token), await authorize(sessionId, token)]
    expect(answers.map(({ status }) => status)).toEqual([200, 400])
    for (const { headers } of answers) expect(headers.get('access-control-allow-origin')).toBe(PAGE_ORIGIN)
  })

  it('refuses a page whose origin is not the azp of the token', async () => {
    const other = 'https://app.example.com'
    const { backend, sessionId, authorize } = await newBrokerWorld({ authorizedParties: [PAGE_ORIGIN, other] })
    const token = await backend.sessionToken(sessionId)
    for (const origin of [other, 'https://evil.example']) {
      expect(await authorize(sessionId, token, {}, { origin }), origin).toMatchObject(invalidGrant)
    }
    const ofOther = await backend.sessionToken(sessionId, { azp: other })
    expect((await authorize(sessionId, ofOther, {}, { origin: other })).status).toBe(200)
  })
})
