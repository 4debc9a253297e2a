// The client of the broker: what it sends, which responses it accepts, and what a failure means for the session.
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { BrokerClient, type RefreshableSession } from '../../src/clerk/broker-client.ts'
import { newProofKey } from '../../src/clerk/dpop.ts'
import { NetworkError } from '../../src/host/network.ts'
import { systemRandom } from '../../src/host/random.ts'
import { TestClock } from '../support/clock.ts'
import { ISSUER, SESSION_ID, signToken, USER_ID } from '../support/session-token.ts'
import { strictBroker } from '../support/strict-broker.ts'

const BROKER = 'https://api.example.com'
const clock = new TestClock()
const now = clock.now()

const session: RefreshableSession = {
  accessToken: { value: 'session-token', receivedAt: now, lifetime: 60 },
  refreshToken: 'refresh-1',
  sessionId: SESSION_ID,
  user: { id: USER_ID, email: null, name: null },
  proofKey: await newProofKey(),
}

interface Sent {
  readonly url: string
  readonly method: unknown
  readonly authorization: string | null
  readonly body: unknown
}

function newBroker(respond: () => Promise<Response>, url = BROKER) {
  const sent: Sent[] = []
  const client = new BrokerClient({
    url,
    fetch: async (url, init) => {
      const authorization = new Headers(init?.headers ?? {}).get('authorization')
      sent.push({ url: String(url), method: init?.method, authorization, body: JSON.parse(String(init?.body)) })
      return await respond()
    },
    clock,
    random: systemRandom,
  })
  return { client, sent }
}

const newBody = async (changes: object = {}) => ({
  token: await signToken(now),
  expires_in: 60,
  session_id: SESSION_ID,
  refresh_token: 'refresh-2',
  session_expires_at: now + 86_400,
  ...changes,
})

describe('a refresh', () => {
  test('sends the refresh token alone, and returns the new tokens', async () => {
    const body = await newBody()
    const { client, sent } = newBroker(async () => Response.json(body))
    expect(await client.refresh(session, null)).toEqual({
      accessToken: { value: body.token, receivedAt: now, lifetime: 60 },
      refreshToken: 'refresh-2',
      sessionExpiresAt: now + 86_400,
      organization: null,
      proofKey: session.proofKey,
    })
    const [request] = sent
    expect(request).toEqual({
      url: `${BROKER}/api/auth/refresh`,
      method: 'POST',
      authorization: null,
      body: { refresh_token: 'refresh-1' },
    })
  })

  test('says in which organization the user is active', async () => {
    const token = await signToken(now, { claims: { o: { id: 'org_1', slg: 'acme', rol: 'admin' } } })
    const { client } = newBroker(async () => Response.json(await newBody({ token })))
    const organization = { id: 'org_1', slug: 'acme', role: 'admin' }
    expect(await client.refresh(session, null)).toMatchObject({ organization })
  })

  test('authenticates by the session token if there is no refresh token yet', async () => {
    const body = await newBody()
    const { client, sent } = newBroker(async () => Response.json(body))
    await client.refresh({ ...session, refreshToken: null }, null)
    expect(sent).toMatchObject([{ authorization: 'Bearer session-token', body: { session_id: SESSION_ID } }])
  })

  test('accepts a response that does not say when the session ends, and a broker URL with a trailing slash', async () => {
    const body = await newBody({ session_expires_at: undefined })
    const { client, sent } = newBroker(async () => Response.json(body), `${BROKER}/`)
    expect(await client.refresh(session, null)).toMatchObject({ sessionExpiresAt: null })
    expect(sent).toMatchObject([{ url: `${BROKER}/api/auth/refresh` }])
  })

  test.each([
    ['another session', { session_id: 'sess_2other' }, {}],
    ['another user', {}, { sub: 'user_2other' }],
    ['no user', {}, { sub: undefined }],
  ])('is unavailable if the response is for %s', async (_name, changes, claims) => {
    const body = await newBody({ token: await signToken(now, { claims }), ...changes })
    const { client } = newBroker(async () => Response.json(body))
    await expect(client.refresh(session, null)).rejects.toMatchObject({ name: 'UnavailableError', reason: 'server' })
  })

  test.each([
    ['no token', { token: undefined }],
    ['a token that is not a JWT', { token: 'opaque' }],
    ['a token with a line break', { token: 'a.b.c\r\nX: y' }],
    ['a token that is too long', { token: `a.${'b'.repeat(16 * 1024)}.c` }],
    ['no lifetime', { expires_in: undefined }],
    ['a lifetime of zero', { expires_in: 0 }],
    ['a lifetime that is a text', { expires_in: '60' }],
    ['no session', { session_id: '' }],
    ['no refresh token', { refresh_token: '' }],
    ['a refresh token that is too long', { refresh_token: 'x'.repeat(16 * 1024 + 1) }],
    ['a negative end of the session', { session_expires_at: -1 }],
  ])('is unavailable if the response has %s', async (_name, changes) => {
    const body = await newBody(changes)
    const { client } = newBroker(async () => Response.json(body))
    await expect(client.refresh(session, null)).rejects.toMatchObject({ name: 'UnavailableError', reason: 'server' })
  })

  test.each<[string, () => Promise<Response>, object]>([
    ['is unreachable', () => Promise.reject(new NetworkError('unreachable')), { reason: 'network' }],
    ['answers HTML', async () => new Response('<html>'), { reason: 'server' }],
    ['answers 201', async () => Response.json({}, { status: 201 }), { reason: 'server' }],
    ['redirects', async () => new Response(null, { status: 302 }), { reason: 'server' }],
    [
      'is rate limited',
      async () => new Response(null, { status: 429, headers: { 'retry-after': '7' } }),
      { reason: 'rate_limited', retryAfterSeconds: 7 },
    ],
  ])('is unavailable if the broker %s', async (_name, respond, failure) => {
    const { client } = newBroker(respond)
    await expect(client.refresh(session, null)).rejects.toMatchObject({ name: 'UnavailableError', ...failure })
  })

  test.each([
    ['is not known', null, 'session_revoked'],
    ['is far away', now + 61, 'session_revoked'],
    ['is 60 s away', now + 60, 'session_expired'],
    ['has passed', now - 3600, 'session_expired'],
  ])('that ends the session says why: its end %s', async (_name, expiresAt, reason) => {
    const { client } = newBroker(async () => Response.json({ error: 'invalid_grant' }, { status: 400 }))
    await expect(client.refresh(session, expiresAt)).rejects.toMatchObject({ name: 'SessionEndedError', reason })
  })

  test('that the broker rejects keeps the session, even past its known end', async () => {
    const { client } = newBroker(async () => Response.json({ error: 'invalid_request' }, { status: 400 }))
    const rejected = { name: 'RejectedError', reason: 'invalid_request' }
    await expect(client.refresh(session, now - 1)).rejects.toMatchObject(rejected)
  })
})

describe('a revocation', () => {
  test('sends the refresh token and is confirmed by the broker', async () => {
    const { client, sent } = newBroker(async () => Response.json({ revoked: true }))
    expect(await client.revoke('refresh-1', session.proofKey)).toBe(true)
    expect(sent).toMatchObject([{ url: `${BROKER}/api/auth/logout`, body: { refresh_token: 'refresh-1' } }])
  })

  test.each<[string, () => Promise<Response>]>([
    ['is unreachable', () => Promise.reject(new NetworkError('unreachable'))],
    ['answers 500', async () => Response.json({ revoked: true }, { status: 500 })],
    ['answers HTML', async () => new Response('<html>')],
    ['answers null', async () => Response.json(null)],
    ['says that it failed', async () => Response.json({ revoked: false })],
    ['says so in a text', async () => Response.json({ revoked: 'true' })],
  ])('is not confirmed if the broker %s', async (_name, respond) => {
    const { client } = newBroker(respond)
    expect(await client.revoke('refresh-1', session.proofKey)).toBe(false)
  })
})

describe('what the broker says', () => {
  test('[G8] shortens the lifetime of a token to its own, and knows no end of a session beyond the year 9999', async () => {
    const body = await newBody({ expires_in: 1e308, session_expires_at: 1e308 })
    const { client } = newBroker(async () => Response.json(body))
    const { accessToken, sessionExpiresAt } = await client.refresh(session, null)
    expect([accessToken.lifetime, sessionExpiresAt]).toEqual([60, null])
  })

  test('[G8] makes nothing wait for longer than five minutes', async () => {
    const headers = { 'retry-after': '999999999' }
    const { client } = newBroker(async () => Response.json({ error: 'x' }, { status: 503, headers }))
    await expect(client.refresh(session, null)).rejects.toMatchObject({ retryAfterSeconds: 300 })
  })

  test('[G7] of the user is shown without control characters, and only if it is this user', async () => {
    const user = { id: USER_ID, email: 'ada@example.com', name: 'A\u001b[2Jd\u202ea' }
    const { client } = newBroker(async () => Response.json(await newBody({ user })))
    expect(await client.refresh(session, null)).toMatchObject({ user: { ...user, name: 'A [2Jd a' } })
    const other = newBroker(async () => Response.json(await newBody({ user: { ...user, id: 'user_2other' } })))
    await expect(other.client.refresh(session, null)).rejects.toMatchObject({ reason: 'server' })
  })
})

describe('a proof of possession', () => {
  function newStrict(at = clock) {
    const broker = strictBroker(now)
    return { broker, client: new BrokerClient({ url: BROKER, fetch: broker.fetch, clock: at, random: systemRandom }) }
  }
  const bare = { ...session, proofKey: undefined }

  test('goes with each request, names it, and is never the same', async () => {
    const { client, broker } = newStrict()
    const first = await client.refresh({ ...session, refreshToken: null }, null)
    const second = await client.refresh({ ...session, ...first }, null)
    expect(await client.revoke(String(second.refreshToken), session.proofKey)).toBe(true)
    expect(broker.seen.map(({ proof }) => [proof?.htm, proof?.htu, proof?.iat])).toEqual(
      ['refresh', 'refresh', 'logout'].map((route) => ['POST', `${BROKER}/api/auth/${route}`, now]),
    )
    expect(new Set(broker.seen.map(({ proof }) => proof?.jti)).size).toBe(3)
    expect(new Set(broker.seen.map(({ proof }) => proof?.jkt)).size).toBe(1)
  })

  test('binds a session of version 1.0, which has no key, at its next refresh', async () => {
    const { client, broker } = newStrict()
    const renewal = await client.refresh({ ...bare, refreshToken: broker.unboundToken() }, null)
    expect(renewal.proofKey).toMatchObject({ kty: 'EC', crv: 'P-256' })
    await client.refresh({ ...session, ...renewal }, null)
    const [first, second] = broker.seen.map(({ proof }) => proof?.jkt)
    expect(second).toBe(first)
  })

  test('is made once more with the nonce that the broker wants, and the next ones have it at once', async () => {
    const { client, broker } = newStrict()
    broker.state.nonce = 'nonce-1'
    const renewal = await client.refresh({ ...session, refreshToken: null }, null)
    await client.refresh({ ...session, ...renewal }, null)
    expect(broker.seen.map(({ proof }) => proof?.nonce)).toEqual([undefined, 'nonce-1', 'nonce-1'])
  })

  test('takes the nonce of a response that succeeded', async () => {
    const { client, broker } = newStrict()
    const body = await newBody()
    broker.script.push(() => Response.json(body, { headers: { 'dpop-nonce': 'nonce-2' } }))
    await client.refresh(session, null)
    await client.refresh({ ...session, refreshToken: null }, null)
    expect(broker.seen.map(({ proof }) => proof?.nonce)).toEqual([undefined, 'nonce-2'])
  })

  test('works with a clock that is wrong by a year if the broker has a nonce', async () => {
    const { client, broker } = newStrict(new TestClock(now - 365 * 86_400))
    broker.state.nonce = 'nonce-1'
    expect(await client.refresh({ ...session, refreshToken: null }, null)).toMatchObject({ proofKey: session.proofKey })
  })

  test('is not made a third time, and a broker that never accepts a nonce is unavailable', async () => {
    const { client, broker } = newStrict()
    let n = 0
    const never = () =>
      Response.json({ error: 'use_dpop_nonce' }, { status: 400, headers: { 'dpop-nonce': `n${++n}` } })
    broker.script.push(never, never, never)
    await expect(client.refresh(session, null)).rejects.toMatchObject({ name: 'UnavailableError', reason: 'server' })
    expect(broker.seen).toHaveLength(2)
  })

  test.each([
    ['no nonce', {}],
    ['a nonce that no header can carry', { 'dpop-nonce': 'a b' }],
  ])('is not made again if the broker sends %s', async (_name, headers) => {
    const { client, broker } = newStrict()
    broker.script.push(() => Response.json({ error: 'use_dpop_nonce' }, { status: 400, headers }))
    await expect(client.refresh(session, null)).rejects.toMatchObject({ name: 'UnavailableError' })
    expect(broker.seen).toHaveLength(1)
  })

  test.each([
    ['invalid_dpop_proof', 400, { name: 'RejectedError', reason: 'invalid_dpop_proof' }],
    ['use_dpop_nonce', 401, { name: 'UnavailableError', reason: 'server' }],
    ['unknown_key', 503, { name: 'UnavailableError', reason: 'server', retryAfterSeconds: 7 }],
    ['unknown_key', 400, { name: 'UnavailableError', reason: 'server', retryAfterSeconds: 7 }],
    ['temporarily_unavailable', 400, { name: 'UnavailableError', reason: 'server', retryAfterSeconds: 7 }],
  ])('that the broker answers with %s and %i never ends the session', async (error, status, failure) => {
    const { client, broker } = newStrict()
    broker.script.push(() => Response.json({ error }, { status, headers: { 'retry-after': '7' } }))
    await expect(client.refresh(session, now - 1)).rejects.toMatchObject(failure)
  })

  test('of another key is refused by the broker, and the session is kept', async () => {
    const { client } = newStrict()
    const { refreshToken } = await client.refresh({ ...session, refreshToken: null }, null)
    const thief = { ...session, refreshToken, proofKey: await newProofKey() }
    await expect(client.refresh(thief, null)).rejects.toMatchObject({ reason: 'invalid_dpop_proof' })
    expect(await client.refresh({ ...session, refreshToken }, null)).toMatchObject({ proofKey: session.proofKey })
  })
})

describe('a code', () => {
  const redirectUri = 'http://localhost:8765/?state=s'
  const codeVerifier = 'v'.repeat(43)
  const challenge = createHash('sha256').update(codeVerifier).digest('base64url')
  function newStrict() {
    const broker = strictBroker(now)
    const client = new BrokerClient({ url: BROKER, fetch: broker.fetch, clock, random: systemRandom })
    return { broker, client, redeem: (code: string) => client.redeem({ code, codeVerifier, redirectUri }, ISSUER) }
  }

  test('becomes a session of the user whom the broker names, with a key of its own', async () => {
    const { broker, redeem } = newStrict()
    const code = broker.code(challenge, redirectUri)
    expect(await redeem(code)).toMatchObject({
      user: { id: USER_ID, email: 'ada@example.com', name: 'Ada' },
      sessionId: SESSION_ID,
      sessionExpiresAt: now + 86_400,
      accessToken: { lifetime: 60 },
      proofKey: { kty: 'EC' },
    })
    const [{ url, authorization, body, proof } = expect.fail('nothing sent')] = broker.seen
    expect([url, authorization, proof?.htu]).toEqual([`${BROKER}/api/auth/token`, null, `${BROKER}/api/auth/token`])
    expect(body).toEqual({ code, code_verifier: codeVerifier, redirect_uri: redirectUri })
    await expect(redeem(code)).rejects.toMatchObject({ name: 'SessionEndedError' })
  })

  test.each<[string, object, Record<string, unknown>]>([
    ['names no user', { user: undefined }, {}],
    ['names another user than its token', { user: { id: 'user_2other' } }, {}],
    ['has the token of another instance', {}, { iss: 'https://clerk.other.example' }],
    ['has the token of another session', {}, { sid: 'sess_2other' }],
  ])('is worth nothing if the answer %s', async (_name, change, claims) => {
    const { broker, redeem } = newStrict()
    const user = { id: USER_ID, email: null, name: null }
    const body = await newBody({ user, token: await signToken(now, { claims }), ...change })
    broker.script.push(() => Response.json(body))
    await expect(redeem('code')).rejects.toMatchObject({ name: 'UnavailableError', reason: 'server' })
  })
})
