// A sign-in by hand-off, without a browser: the request to the page, the callback, and the first refresh.
import { describe, expect, test } from 'vitest'
import { Handoff, type HandoffOptions } from '../../src/clerk/handoff.ts'
import { type Fetch, NetworkError } from '../../src/host/network.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { Session } from '../../src/store/session.ts'
import { TestClock } from '../support/clock.ts'
import { ISSUER, newJwksFetch, SESSION_ID, signToken, USER_ID } from '../support/session-token.ts'

const PAGE = 'https://www.example.com/cadzero/auth-callback'
const BROKER = 'https://api.example.com'
const CALLBACK = 'http://localhost:8765/'

const unreachable: Fetch = () => Promise.reject(new NetworkError('unreachable'))

async function newHandoff(options: Partial<HandoffOptions> = {}, broker: Fetch = unreachable) {
  const clock = new TestClock()
  const jwks = await newJwksFetch()
  const fetch: Fetch = (url, init) => (String(url).startsWith(BROKER) ? broker(url, init) : jwks.fetch(url, init))
  const handoff = new Handoff({
    issuer: ISSUER,
    signInUrl: PAGE,
    brokerUrl: undefined,
    authorizedParties: [],
    requireState: true,
    fetch,
    clock,
    random: systemRandom,
    ...options,
  })
  const now = clock.now()
  const token = await signToken(now)
  const params = { token, session_id: SESSION_ID, user_id: USER_ID, user_email: 'ada@example.com', user_name: 'Ada' }
  const exchange = (query: Record<string, string> | [string, string][]) => {
    const callback = new URL(CALLBACK)
    callback.search = new URLSearchParams(query).toString()
    return handoff.authorize(CALLBACK).exchange(callback)
  }
  return { handoff, now, token, params, exchange }
}

const refused = (reason: string) => ({ name: 'CallbackRefusedError', reason })

describe('the request to the page', () => {
  test('puts a state into the callback URL, a new one each time', async () => {
    const { handoff } = await newHandoff()
    const [first, second] = [handoff.authorize(CALLBACK), handoff.authorize(CALLBACK)]
    expect(first.state).toMatch(/^[\w-]{43}$/)
    expect(first.state).not.toBe(second.state)
    expect(first.url).toBe(`${PAGE}?redirect_url=${encodeURIComponent(`${CALLBACK}?state=${first.state}`)}`)
  })

  test('has no state if the page returns none', async () => {
    const { handoff } = await newHandoff({ requireState: false })
    const { url, state } = handoff.authorize(CALLBACK)
    expect([url, state]).toEqual([`${PAGE}?redirect_url=${encodeURIComponent(CALLBACK)}`, null])
  })

  test('has the login hint, if there is one', async () => {
    const { handoff } = await newHandoff()
    const { searchParams } = new URL(handoff.authorize(CALLBACK, { loginHint: 'ada@example.com' }).url)
    expect(searchParams.get('login_hint')).toBe('ada@example.com')
    expect(new URL(handoff.authorize(CALLBACK).url).searchParams.has('login_hint')).toBe(false)
  })

  test('asks the page for a new sign-in if another account is wanted', async () => {
    const { handoff } = await newHandoff()
    expect(new URL(handoff.authorize(CALLBACK, { prompt: 'login' }).url).searchParams.get('prompt')).toBe('login')
    expect(new URL(handoff.authorize(CALLBACK).url).searchParams.has('prompt')).toBe(false)
  })
})

describe('a callback', () => {
  test('with a valid token becomes a session that ends with the token', async () => {
    const { exchange, params, token, now } = await newHandoff()
    expect(await exchange(params)).toEqual({
      accessToken: { value: token, receivedAt: now, lifetime: 60 },
      refreshToken: null,
      user: { id: USER_ID, email: 'ada@example.com', name: 'Ada' },
      sessionId: SESSION_ID,
      sessionExpiresAt: now + 60,
      organization: null,
    })
  })

  test('with the token of a template takes the session ID that the page sends', async () => {
    const { exchange, params, now } = await newHandoff()
    const token = await signToken(now, { claims: { sid: undefined } })
    expect(await exchange({ ...params, token })).toMatchObject({ sessionId: SESSION_ID })
    expect(await exchange({ ...params, token, session_id: '' })).toMatchObject({ sessionId: null })
  })

  test('with a token that names its session needs no session ID from the page', async () => {
    const { exchange, params } = await newHandoff()
    expect(await exchange({ ...params, session_id: '' })).toMatchObject({ sessionId: SESSION_ID })
  })

  test.each([
    ['no token', { token: '' }],
    ['no user', { user_id: '' }],
  ])('with %s is incomplete', async (_name, change) => {
    const { exchange, params } = await newHandoff()
    await expect(exchange({ ...params, ...change })).rejects.toMatchObject(refused('incomplete'))
  })

  test.each(['token', 'session_id', 'user_id', 'user_email', 'user_name', 'error'])(
    'with %s twice is incomplete',
    async (name) => {
      const { exchange, params } = await newHandoff()
      const twice: [string, string][] = [...Object.entries({ ...params, error: 'x' }), [name, 'x']]
      await expect(exchange(twice)).rejects.toMatchObject(refused('incomplete'))
    },
  )

  test.each([
    ['another user', { user_id: 'user_2other' }],
    ['another session', { session_id: 'sess_2other' }],
  ])('with the token of %s is refused', async (_name, change) => {
    const { exchange, params } = await newHandoff()
    await expect(exchange({ ...params, ...change })).rejects.toMatchObject(refused('mismatched'))
  })

  test('with a forged token is refused', async () => {
    const { exchange, params } = await newHandoff()
    await expect(exchange({ ...params, token: 'forged' })).rejects.toMatchObject(refused('forged'))
  })

  test('is refused as unverified if Clerk’s keys cannot be fetched', async () => {
    const { exchange, params } = await newHandoff({ fetch: unreachable })
    await expect(exchange(params)).rejects.toMatchObject(refused('unverified'))
  })

  test('with access_denied ends the sign-in, since its state proves the page', async () => {
    const { exchange } = await newHandoff()
    const declined = { name: 'SignInError', reason: 'access_denied' }
    await expect(exchange({ error: 'access_denied' })).rejects.toMatchObject(declined)
  })

  test('with access_denied is refused if the page returns no state, since any web site could have sent it', async () => {
    const { exchange } = await newHandoff({ requireState: false })
    await expect(exchange({ error: 'access_denied' })).rejects.toMatchObject(refused('incomplete'))
  })

  test('with another error is incomplete', async () => {
    const { exchange } = await newHandoff()
    await expect(exchange({ error: 'server_error' })).rejects.toMatchObject(refused('incomplete'))
  })

  test('keeps no control characters and at most 320 characters of a name', async () => {
    const { exchange, params } = await newHandoff()
    const name = `Ada\r\n\u0000${'x'.repeat(5000)}`
    const { user } = await exchange({ ...params, user_name: name, user_email: ' \n' })
    expect(user).toEqual({ id: USER_ID, email: null, name: `Ada ${'x'.repeat(316)}` })
  })
})

describe('the first refresh', () => {
  test('replaces the token during the sign-in', async () => {
    const token = await signToken(new TestClock().now(), { claims: { jti: '2' } })
    const body = {
      token,
      expires_in: 30,
      session_id: SESSION_ID,
      refresh_token: 'r',
      session_expires_at: 2_000_000_000,
    }
    const { exchange, params, now } = await newHandoff({ brokerUrl: BROKER }, async () => Response.json(body))
    expect(await exchange(params)).toMatchObject({
      accessToken: { value: token, receivedAt: now, lifetime: 30 },
      refreshToken: 'r',
      sessionExpiresAt: 2_000_000_000,
    })
  })

  test.each<[string, Fetch]>([
    ['is unreachable', unreachable],
    ['does not exist yet', async () => new Response('<html>', { status: 404 })],
    ['refuses the request', async () => Response.json({ error: 'invalid_request' }, { status: 400 })],
    ['says that the session has ended', async () => Response.json({ error: 'invalid_grant' }, { status: 400 })],
  ])('does not prevent the sign-in if the broker %s', async (_name, broker) => {
    const { exchange, params, token } = await newHandoff({ brokerUrl: BROKER }, broker)
    expect(await exchange(params)).toMatchObject({ accessToken: { value: token }, refreshToken: null })
  })

  test('is not attempted for a token without a session', async () => {
    let requests = 0
    const { exchange, params, now } = await newHandoff({ brokerUrl: BROKER }, (...args) => {
      requests += 1
      return unreachable(...args)
    })
    const token = await signToken(now, { claims: { sid: undefined } })
    await exchange({ ...params, token, session_id: '' })
    expect(requests).toBe(0)
  })
})

describe('a session that was adopted', () => {
  test('takes user and session from the token', async () => {
    const { handoff, token } = await newHandoff()
    const handed = { token, sessionId: null, user: { id: null, email: 'ada@example.com', name: null } }
    expect(await handoff.adopt(handed)).toMatchObject({
      user: { id: USER_ID, email: 'ada@example.com', name: null },
      sessionId: SESSION_ID,
    })
  })

  test('stays unavailable if Clerk’s keys cannot be fetched', async () => {
    const { handoff, token } = await newHandoff({ fetch: unreachable })
    const handed = { token, sessionId: null, user: { id: null, email: null, name: null } }
    await expect(handoff.adopt(handed)).rejects.toMatchObject({ name: 'UnavailableError', reason: 'network' })
  })
})

describe('a saved session', () => {
  const session = (changes: Partial<Session> = {}): Session => ({
    generation: 1,
    user: { id: USER_ID, email: null, name: null },
    sessionId: SESSION_ID,
    sessionExpiresAt: null,
    accessToken: { value: 'a.b.c', receivedAt: 1_800_000_000.5, lifetime: 60 },
    refreshToken: 'refresh-1',
    ...changes,
  })

  test('expires if there is no broker to refresh it', async () => {
    const { handoff } = await newHandoff()
    await expect(handoff.refresh(session())).rejects.toMatchObject({ reason: 'session_expired' })
  })

  test('passes its known end to the broker client', async () => {
    const ended: Fetch = async () => Response.json({ error: 'invalid_grant' }, { status: 400 })
    const { handoff, now } = await newHandoff({ brokerUrl: BROKER }, ended)
    const refresh = (sessionExpiresAt: number) => handoff.refresh(session({ sessionExpiresAt }))
    await expect(refresh(now)).rejects.toMatchObject({ reason: 'session_expired' })
    await expect(refresh(now + 3600)).rejects.toMatchObject({ reason: 'session_revoked' })
  })

  test('is revoked through the broker, while its token stays valid until it expires', async () => {
    const { handoff } = await newHandoff({ brokerUrl: BROKER }, async () => Response.json({ revoked: true }))
    expect(await handoff.revoke(session())).toEqual({ revoked: true, accessTokenValidUntil: 1_800_000_060 })
    expect(await handoff.revoke(session({ refreshToken: null }))).toMatchObject({ revoked: false })
  })

  test('cannot be revoked without a broker', async () => {
    const { handoff } = await newHandoff()
    expect(await handoff.revoke(session())).toEqual({ revoked: false, accessTokenValidUntil: 1_800_000_060 })
  })
})
