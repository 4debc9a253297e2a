// The verification of a session token: a token is accepted only if Clerk's keys and its claims prove it.
import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type SessionTokenOptions, SessionTokenVerifier } from '../../src/clerk/session-token.ts'
import { type Fetch, NetworkError } from '../../src/host/network.ts'
import { sharedKey } from '../sandbox/keys.ts'
import { TestClock } from '../support/clock.ts'
import {
  ISSUER,
  newJwksFetch,
  otherKey,
  SESSION_ID,
  signToken,
  type TokenContent,
  USER_ID,
} from '../support/session-token.ts'

const PAGE = 'https://www.example.com'

async function newVerifier(options: Partial<SessionTokenOptions> = {}) {
  const clock = new TestClock()
  const { fetch, requested } = await newJwksFetch()
  const verifier = new SessionTokenVerifier({ issuer: ISSUER, authorizedParties: [], fetch, clock, ...options })
  const verify = async (content?: TokenContent) => await verifier.verify(await signToken(clock.now(), content))
  return { clock, verifier, verify, requested, now: clock.now() }
}

const refused = (reason: string) => expect.objectContaining({ name: 'CallbackRefusedError', reason })

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('accepts', () => {
  test('a valid token, and returns its user, session and lifetime', async () => {
    const { verify, requested } = await newVerifier()
    expect(await verify()).toEqual({ userId: USER_ID, sessionId: SESSION_ID, lifetime: 60 })
    expect(requested).toEqual([`${ISSUER}/.well-known/jwks.json`])
  })

  test('a token from a JWT template, which names no session', async () => {
    const { verify } = await newVerifier()
    expect(await verify({ claims: { sid: undefined } })).toMatchObject({ userId: USER_ID, sessionId: null })
  })

  test.each([['JWT'], ['jwt'], [undefined]])('a token with the type %s', async (typ) => {
    const { verify } = await newVerifier()
    expect(await verify({ header: { typ } })).toMatchObject({ userId: USER_ID })
  })

  test.each(['RS384', 'RS512'])('a token signed by %s', async (alg) => {
    const { verifier, now } = await newVerifier({ fetch: (await newJwksFetch({ alg: undefined })).fetch })
    expect(await verifier.verify(await signToken(now, { header: { alg } }))).toMatchObject({ userId: USER_ID })
  })

  test('a token of an authorized party', async () => {
    const { verify } = await newVerifier({ authorizedParties: ['https://other.example.com', PAGE] })
    expect(await verify({ claims: { azp: PAGE } })).toMatchObject({ userId: USER_ID })
  })

  test('a token that becomes valid within the clock tolerance of 5 s', async () => {
    const { verify, now } = await newVerifier()
    expect(await verify({ claims: { nbf: now + 5 } })).toMatchObject({ lifetime: 60 })
  })
})

describe('bounds the lifetime', () => {
  test('by the time that remains', async () => {
    const { verify, now } = await newVerifier()
    expect(await verify({ claims: { iat: now - 50, exp: now + 10 } })).toMatchObject({ lifetime: 10 })
  })

  test('by the token’s own lifetime if this machine’s clock is behind', async () => {
    const { verify, now } = await newVerifier()
    expect(await verify({ claims: { iat: now + 300, exp: now + 360 } })).toMatchObject({ lifetime: 60 })
  })
})

describe('refuses as forged', () => {
  test.each(['at+jwt', 'application/at+jwt', 'logout+jwt', ''])('a signed token of the type %j', async (typ) => {
    const { verify } = await newVerifier()
    await expect(verify({ header: { typ } })).rejects.toEqual(refused('forged'))
  })

  test('a token that another key has signed', async () => {
    const { verify } = await newVerifier()
    await expect(verify({ key: await otherKey })).rejects.toEqual(refused('forged'))
  })

  test('a token that another key has signed under the key ID of Clerk’s', async () => {
    const { verify } = await newVerifier()
    const { kid } = (await sharedKey).jwk
    await expect(verify({ key: await otherKey, header: { kid } })).rejects.toEqual(refused('forged'))
  })

  test('a token whose claims were changed after it was signed', async () => {
    const { verifier, now } = await newVerifier()
    const [header, payload = '', signature] = (await signToken(now)).split('.')
    const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sub: 'user_2other' }
    await expect(verifier.verify([header, encode(claims), signature].join('.'))).rejects.toEqual(refused('forged'))
  })

  test('a token without a signature', async () => {
    const { verifier, now } = await newVerifier()
    const [, payload] = (await signToken(now)).split('.')
    const token = `${encode({ alg: 'none', typ: 'JWT' })}.${payload}.`
    await expect(verifier.verify(token)).rejects.toEqual(refused('forged'))
  })

  test('a token signed with the public key as a shared secret', async () => {
    const { verifier, now } = await newVerifier()
    const { publicKey, jwk } = await sharedKey
    const [, payload] = (await signToken(now)).split('.')
    const input = `${encode({ alg: 'HS256', typ: 'JWT', kid: jwk.kid })}.${payload}`
    const secret = publicKey.export({ type: 'spki', format: 'pem' })
    const signature = createHmac('sha256', secret).update(input).digest('base64url')
    await expect(verifier.verify(`${input}.${signature}`)).rejects.toEqual(refused('forged'))
  })

  test.each(['', 'text', '<script>alert(1)</script>', 'a.b.c', '..', 'a.b.c.d.e'])('the text %j', async (token) => {
    const { verifier, requested } = await newVerifier()
    await expect(verifier.verify(token)).rejects.toEqual(refused('forged'))
    expect(requested).toEqual([])
  })

  test.each([
    ['no subject', { sub: undefined }],
    ['an empty subject', { sub: '' }],
    ['a subject that is not a text', { sub: 7 }],
    ['no expiry', { exp: undefined }],
    ['no issue time', { iat: undefined }],
    ['an empty session ID', { sid: '' }],
    ['a session ID that is not a text', { sid: 7 }],
  ])('a signed token with %s', async (_name, claims) => {
    const { verify } = await newVerifier()
    await expect(verify({ claims })).rejects.toEqual(refused('forged'))
  })
})

describe('refuses as expired', () => {
  test.each([
    ['one second past its expiry', -61, -1],
    ['at its expiry', -60, 0],
    ['two minutes past its expiry', -180, -120],
    ['with an expiry before its issue time', 30, 20],
  ])('a token %s', async (_name, issued, expires) => {
    const { verify, now } = await newVerifier()
    const claims = { iat: now + issued, exp: now + expires }
    await expect(verify({ claims })).rejects.toEqual(refused('expired'))
  })

  test('a token that is not valid yet', async () => {
    const { verify, now } = await newVerifier()
    await expect(verify({ claims: { nbf: now + 6 } })).rejects.toEqual(refused('expired'))
  })
})

describe('refuses as issued for another audience', () => {
  test('a token of another instance, without fetching keys', async () => {
    const { verify, requested } = await newVerifier()
    const claims = { iss: 'https://clerk.other.example' }
    await expect(verify({ claims })).rejects.toEqual(refused('wrong_audience'))
    expect(requested).toEqual([])
  })

  test.each([['https://evil.example'], [undefined], [`${PAGE}/`]])('a token of the party %s', async (azp) => {
    const { verify } = await newVerifier({ authorizedParties: [PAGE] })
    await expect(verify({ claims: { azp } })).rejects.toEqual(refused('wrong_audience'))
  })
})

test('refuses a token of a session that Clerk has not finished', async () => {
  const { verify } = await newVerifier()
  await expect(verify({ claims: { sts: 'pending' } })).rejects.toEqual(refused('pending'))
})

describe('is unavailable, and refuses nothing, if the keys', () => {
  const html = { headers: { 'content-type': 'text/html' } }
  test.each<[string, string, Fetch]>([
    ['cannot be reached', 'dns', () => Promise.reject(new NetworkError('unreachable', { cause: 'dns' }))],
    ['have the status 503', 'protocol', async () => new Response(null, { status: 503 })],
    ['are HTML', 'captive_portal', async () => new Response('<html>', html)],
    ['are not a key set', 'protocol', async () => Response.json({ keys: 'none' })],
  ])('%s', async (_name, cause, fetch) => {
    const { verify } = await newVerifier({ fetch })
    const unavailable = { name: 'UnavailableError', reason: 'network', failure: { cause } }
    await expect(verify()).rejects.toEqual(expect.objectContaining(unavailable))
  })
})

test('unknown key IDs do not make the daemon fetch the keys again and again', async () => {
  const { verify, requested } = await newVerifier()
  await verify()
  for (let n = 0; n < 20; n++) {
    await expect(verify({ header: { kid: `ins_2invented${n}` } })).rejects.toEqual(refused('forged'))
  }
  expect(requested.length).toBe(1)
})

test('fetches the keys below an issuer with a trailing slash', async () => {
  const issuer = `${ISSUER}/`
  const { verify, requested } = await newVerifier({ issuer })
  await verify({ claims: { iss: issuer } })
  expect(requested).toEqual([`${ISSUER}/.well-known/jwks.json`])
})

describe('a clock that is off', () => {
  /** A verifier whose clock is `skew` seconds ahead of Clerk, which states its time unless `date` says otherwise. */
  async function withSkew(
    skew: number,
    date: (time: number) => string = (time) => new Date(time * 1000).toUTCString(),
  ) {
    const clock = new TestClock()
    const jwks = await newJwksFetch()
    const fetch: Fetch = async (url, init) => {
      const response = await jwks.fetch(url, init)
      return new Response(await response.arrayBuffer(), { status: 200, headers: { date: date(clock.now() - skew) } })
    }
    const verifier = new SessionTokenVerifier({ issuer: ISSUER, authorizedParties: [], fetch, clock })
    const verify = async ({ claims }: TokenContent = {}) => {
      const time = clock.now() - skew
      const token = await signToken(time, { claims: { nbf: time - 10, ...claims } }) // as Clerk issues them
      return await verifier.verify(token).catch((error: unknown) => error)
    }
    return { verify, clock, requested: jwks.requested }
  }

  test.each([-299, -29, -20, 61, 299])('by %i s is corrected by the time of Clerk', async (skew) => {
    const { verify } = await withSkew(skew)
    expect(await verify()).toMatchObject({ userId: USER_ID, lifetime: 60 })
  })

  test('ahead by less than the token’s life only shortens it', async () => {
    const { verify } = await withSkew(20)
    expect(await verify()).toMatchObject({ lifetime: 40 })
  })

  test.each([-310, 310, 86_400])('by %i s is too wrong to be corrected', async (skew) => {
    const { verify } = await withSkew(skew)
    expect(await verify()).toEqual(refused('expired'))
  })

  test('keeps an expired token expired, and asks for the time once a minute at most', async () => {
    const { verify, clock, requested } = await withSkew(0)
    const expired = { claims: { exp: clock.now() - 100, iat: clock.now() - 160, nbf: clock.now() - 160 } }
    for (let n = 0; n < 20; n++) expect(await verify(expired)).toEqual(refused('expired'))
    expect(requested).toHaveLength(2)
    clock.advance(60)
    await verify(expired)
    expect(requested).toHaveLength(3)
  })

  test.each(['', 'yesterday', '0'])('is not corrected by the date %j', async (date) => {
    const { verify } = await withSkew(-60, () => date)
    expect(await verify()).toEqual(refused('expired'))
  })

  test('is measured again after the clock was set right', async () => {
    const clock = new TestClock()
    const jwks = await newJwksFetch()
    const time = () => 1_800_000_000 + clock.monotonic() - 1000
    const fetch: Fetch = async (url, init) =>
      new Response(await (await jwks.fetch(url, init)).arrayBuffer(), {
        headers: { date: new Date(time() * 1000).toUTCString() },
      })
    const verifier = new SessionTokenVerifier({ issuer: ISSUER, authorizedParties: [], fetch, clock })
    const verify = async () => await verifier.verify(await signToken(time()))
    clock.setBack(200)
    expect(await verify()).toMatchObject({ userId: USER_ID })
    clock.setBack(-200)
    clock.advance(60)
    expect(await verify()).toMatchObject({ userId: USER_ID })
  })
})
