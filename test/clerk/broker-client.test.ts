// The client of the broker: what it sends, which responses it accepts, and what a failure means for the session.
import { describe, expect, test } from 'vitest'
import { BrokerClient, type RefreshableSession } from '../../src/clerk/broker-client.ts'
import { NetworkError } from '../../src/host/network.ts'
import { TestClock } from '../support/clock.ts'
import { SESSION_ID, signToken, USER_ID } from '../support/session-token.ts'

const BROKER = 'https://api.example.com'
const clock = new TestClock()
const now = clock.now()

const session: RefreshableSession = {
  accessToken: { value: 'session-token', receivedAt: now, lifetime: 60 },
  refreshToken: 'refresh-1',
  sessionId: SESSION_ID,
  user: { id: USER_ID, email: null, name: null },
}

interface Sent {
  readonly url: string
  readonly method: unknown
  readonly authorization: string | null
  readonly body: unknown
}

function newBroker(respond: () => Promise<Response>, url = BROKER) {
  const sent: Sent[] = []
  const client = new BrokerClient(
    url,
    async (url, init) => {
      const authorization = new Headers(init?.headers ?? {}).get('authorization')
      sent.push({ url: String(url), method: init?.method, authorization, body: JSON.parse(String(init?.body)) })
      return await respond()
    },
    clock,
  )
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
    expect(await client.revoke('refresh-1')).toBe(true)
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
    expect(await client.revoke('refresh-1')).toBe(false)
  })
})
