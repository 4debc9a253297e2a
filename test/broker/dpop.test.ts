// DPoP proofs at the broker: each check of RFC 9449 section 4.3, replays, and the nonce of section 8.
import { createHash } from 'node:crypto'
import { type JWTHeaderParameters, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { invalidProof, newBroker, newBrokerWorld, newKey, PUBLIC_URL } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'
import { newDpopKey } from '../support/dpop.ts'

const URL_OF_REFRESH = `${PUBLIC_URL}/api/auth/refresh`
const useNonce = { status: 400, body: { error: 'use_dpop_nonce' } }

describe('a proof', () => {
  it.each<[string, string, object]>([
    ['of another method', 'dpop_htm', { claims: { htm: 'GET' } }],
    ['of another address', 'dpop_htu', { claims: { htu: 'https://api.example.com/api/auth/logout' } }],
    ['of another host', 'dpop_htu', { claims: { htu: 'https://evil.example/api/auth/refresh' } }],
    ['of an address that is none', 'dpop_htu', { claims: { htu: 'x' } }],
    ['without an address', 'dpop_htu', { claims: { htu: undefined } }],
    ['without an id', 'dpop_malformed', { claims: { jti: undefined } }],
    ['with a long id', 'dpop_malformed', { claims: { jti: 'x'.repeat(300) } }],
    ['without a time', 'dpop_malformed', { claims: { iat: undefined } }],
    ['of another type', 'dpop_malformed', { header: { typ: 'JWT' } }],
    ['without a key', 'dpop_malformed', { header: { jwk: undefined } }],
    ['with an incomplete key', 'dpop_malformed', { header: { jwk: { kty: 'EC', crv: 'P-256' } } }],
    ['of 5 KB', 'dpop_malformed', { claims: { padding: 'x'.repeat(5000) } }],
  ])('%s is refused, and the session is kept', async (_name, reason, options) => {
    const { key, newRefreshToken, refresh, logLines } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const dpop = await (await key).proof(URL_OF_REFRESH, options)
    expect(await refresh(refreshToken, { dpop })).toMatchObject(invalidProof)
    expect(logLines.at(-1)).toMatchObject({ event: 'refused', reason })
    expect((await refresh(refreshToken)).status).toBe(200)
  })

  it('of another algorithm, with a private key, or signed by another key is refused', async () => {
    const { key, newRefreshToken, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const [right, other] = [await key, await newDpopKey()]
    const [header, payload] = (await right.proof(URL_OF_REFRESH)).split('.')
    const [, , signature] = (await other.proof(URL_OF_REFRESH)).split('.')
    const symmetric = await new SignJWT({ jti: 'a', htm: 'POST', htu: URL_OF_REFRESH })
      .setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: { kty: 'oct', k: 'AAAA' } } as JWTHeaderParameters)
      .setIssuedAt()
      .sign(newKey())
    const proofs = [
      await (await newDpopKey('RS256')).proof(URL_OF_REFRESH),
      await (await newDpopKey('ES384')).proof(URL_OF_REFRESH),
      symmetric,
      `${header}.${payload}.${signature}`,
      `${header}.${payload}.`,
      `${await right.proof(URL_OF_REFRESH)}, ${await right.proof(URL_OF_REFRESH)}`,
      'x',
      '',
    ]
    for (const dpop of proofs) expect(await refresh(refreshToken, { dpop }), dpop).toMatchObject(invalidProof)
  })

  it('of an address with another query, port notation or case of the host is accepted', async () => {
    const { key, newRefreshToken, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    for (const htu of [
      `${URL_OF_REFRESH}?x=1#y`,
      'https://api.example.com:443/api/auth/refresh',
      'HTTPS://API.example.com/api/auth/refresh',
    ]) {
      const dpop = await (await key).proof(URL_OF_REFRESH, { claims: { htu } })
      expect((await refresh(refreshToken, { dpop })).status, htu).toBe(200)
    }
  })

  it('is used once, in whichever copy has seen it', async () => {
    const { key, newRefreshToken, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const dpop = await (await key).proof(URL_OF_REFRESH)
    const answers = await Promise.all([1, 2, 3, 4].map(() => refresh(refreshToken, { dpop })))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 400, 400, 400])
  })

  it('is not remembered before the rest of the request is believed, so that unproven requests fill no store', async () => {
    const claimed: string[] = []
    const singleUse = { claim: async (kind: string) => claimed.push(kind) > 0 }
    const { key, newCode, redeem, options, sandbox } = await newBrokerWorld({ singleUse })
    const { code, codeVerifier } = await newCode()
    claimed.splice(0)
    const stranger = newBroker(sandbox, options, newDpopKey())
    await stranger.redeem('made.up', codeVerifier)
    await stranger.refresh('made..u.p.x')
    await stranger.exchange('sess_2a', 'a.b.c')
    expect(claimed).toEqual([])
    await redeem(code, codeVerifier, { dpop: await (await key).proof(`${PUBLIC_URL}/api/auth/token`) })
    expect(claimed).toEqual(['proof', 'code'])
  })

  it('is made for the public URL, whatever the Host header says', async () => {
    const { sandbox, options, key, newRefreshToken } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const below = newBroker(sandbox, { ...options, publicUrl: 'https://api.example.com/clerk' }, key)
    const dpop = await (await key).proof(URL_OF_REFRESH)
    const init = { method: 'POST', headers: { 'content-type': 'application/json', dpop }, body: '{}' }
    expect((await below.send('/x', init)).status).toBe(404)
    const request = (proof: string) =>
      new Request(URL_OF_REFRESH, {
        method: 'POST',
        headers: { 'content-type': 'application/json', dpop: proof },
        body: JSON.stringify({ refresh_token: refreshToken }),
      })
    expect((await below.broker(request(dpop))).status).toBe(400)
    const right = await (await key).proof('https://api.example.com/clerk/api/auth/refresh')
    expect((await below.broker(request(right))).status).toBe(200)
  })
})

describe('a client with a wrong clock', () => {
  it.each([-3600, 3600])('that is %i s off refreshes with the nonce of the broker', async (offset) => {
    const { key, newRefreshToken, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const now = Date.now() / 1000 + offset
    const refused = await refresh(refreshToken, { dpop: await (await key).proof(URL_OF_REFRESH, { now }) })
    expect(refused).toMatchObject(useNonce)
    const nonce = refused.headers.get('dpop-nonce')
    expect(nonce).toMatch(/^[\w-]{43}$/)
    const dpop = await (await key).proof(URL_OF_REFRESH, { now, claims: { nonce } })
    const answer = await refresh(refreshToken, { dpop })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('dpop-nonce')).toMatch(/^[\w-]{43}$/)
    expect(await refresh(refreshToken, { dpop })).toMatchObject(invalidProof) // used
  })

  it('gets a nonce that every copy with the same keys accepts, and that expires', async () => {
    const clock = new TestClock(Date.now() / 1000)
    const { sandbox, key, newRefreshToken, options } = await newBrokerWorld({ clock })
    const refreshToken = await newRefreshToken()
    const copy = newBroker(sandbox, { ...options, keys: [newKey(), ...options.keys] }, key)
    const proofWith = async (nonce: string | null) =>
      await (await key).proof(URL_OF_REFRESH, { now: 0, claims: { nonce } })
    const first = await copy.refresh(refreshToken, { dpop: await (await key).proof(URL_OF_REFRESH, { now: 0 }) })
    const nonce = first.headers.get('dpop-nonce')
    const original = newBroker(sandbox, { ...options, keys: copy.options.keys }, key)
    expect((await original.refresh(refreshToken, { dpop: await proofWith(nonce) })).status).toBe(200)
    clock.advance(450)
    expect(await original.refresh(refreshToken, { dpop: await proofWith(nonce) })).toMatchObject(useNonce)
  })

  it('is not helped by a nonce of its own making', async () => {
    const { key, newRefreshToken, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    const made = createHash('sha256').update('x').digest('base64url')
    for (const nonce of [made, '', 1, null, []]) {
      const dpop = await (await key).proof(URL_OF_REFRESH, { claims: { nonce } })
      expect(await refresh(refreshToken, { dpop }), String(nonce)).toMatchObject(useNonce)
    }
  })
})

describe('the keys of recent proofs', () => {
  it('are remembered, but do not let another proof through', async () => {
    const { key, newRefreshToken, refresh } = await newBrokerWorld()
    const refreshToken = await newRefreshToken()
    expect((await refresh(refreshToken)).status).toBe(200)
    const right = await key
    const [header = '', payload] = (await right.proof(URL_OF_REFRESH)).split('.')
    const { jwk } = JSON.parse(Buffer.from(header, 'base64url').toString())
    const other = await newDpopKey()
    const proofs = [
      await other.proof(URL_OF_REFRESH, { header: { jwk } }), // names the remembered key, signed by another
      await right.proof(URL_OF_REFRESH, { header: { jwk: { ...jwk, d: jwk.x } } }), // with a private member
      `${header}.${payload}.${(await right.proof(URL_OF_REFRESH)).split('.')[2]}`, // of another payload
    ]
    for (const dpop of proofs) expect(await refresh(refreshToken, { dpop })).toMatchObject(invalidProof)
    expect((await refresh(refreshToken)).status).toBe(200)
  })
})
