// A sign-in by hand-off, without a browser: the request to the page, the callback, and the first refresh.
import { describe, expect, test } from 'vitest'
import { Handoff, type HandoffOptions } from '../../src/clerk/handoff.ts'
import { type Fetch, NetworkError } from '../../src/host/network.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { Session } from '../../src/store/session.ts'
import { TestClock } from '../support/clock.ts'
import { ISSUER, newJwksFetch, SESSION_ID, signToken, USER_ID } from '../support/session-token.ts'
import { strictBroker } from '../support/strict-broker.ts'

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
    tokenInCallback: true,
    clientName: 'computer',
    fetch,
    clock,
    random: systemRandom,
    ...options,
  })
  const now = clock.now()
  const token = await signToken(now)
  const params = { token, session_id: SESSION_ID, user_id: USER_ID, user_email: 'ada@example.com', user_name: 'Ada' }
  /** Comes back to the callback of a new sign-in, with its state if it has one. */
  const exchange = (query: Record<string, string> | [string, string][]) => {
    const request = handoff.authorize(CALLBACK)
    const callback = new URL(String(new URL(request.url).searchParams.get('redirect_url')))
    const added = Array.isArray(query) ? query : Object.entries(query)
    for (const [name, value] of added) callback.searchParams.append(name, value)
    return request.exchange(callback)
  }
  return { handoff, clock, now, token, params, exchange }
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

describe('the request to the page of a profile with a broker', () => {
  test('has a challenge, and the name of this computer without what changes how it is shown', async () => {
    const { handoff } = await newHandoff({ brokerUrl: BROKER, clientName: 'ada’s\u202e lap\u001btop' })
    const { url, state, mayLackState } = handoff.authorize(CALLBACK)
    const { searchParams } = new URL(url)
    expect(searchParams.get('redirect_url')).toBe(`${CALLBACK}?state=${state}`)
    expect(searchParams.get('code_challenge')).toMatch(/^[\w-]{43}$/)
    expect(searchParams.get('code_challenge_method')).toBe('S256')
    expect(searchParams.get('client_name')).toBe('ada’s  lap top')
    expect([searchParams.has('state'), mayLackState]).toEqual([false, false])
  })

  test('has its state beside the callback if the page may return none', async () => {
    const { handoff } = await newHandoff({ brokerUrl: BROKER, requireState: false })
    const { url, state, mayLackState } = handoff.authorize(CALLBACK)
    const { searchParams } = new URL(url)
    expect([searchParams.get('redirect_url'), searchParams.get('state')]).toEqual([CALLBACK, state])
    expect([state?.length, mayLackState]).toEqual([43, true])
  })
})

describe('a callback with a code', () => {
  async function newStrict(options: Partial<HandoffOptions> = {}) {
    const broker = strictBroker(new TestClock().now())
    const world = await newHandoff({ brokerUrl: BROKER, ...options }, broker.fetch)
    const request = world.handoff.authorize(CALLBACK)
    const { searchParams } = new URL(request.url)
    const redirectUri = String(searchParams.get('redirect_url'))
    const code = broker.code(String(searchParams.get('code_challenge')), redirectUri)
    const callback = new URL(redirectUri)
    callback.searchParams.set('state', String(request.state))
    callback.searchParams.set('code', code)
    return { ...world, broker, request, callback }
  }

  test.each([true, false])('becomes a session (requireState: %s)', async (requireState) => {
    const { request, callback, broker } = await newStrict({ requireState })
    expect(await request.exchange(callback)).toMatchObject({
      user: { id: USER_ID, email: 'ada@example.com', name: 'Ada' },
      sessionId: SESSION_ID,
      proofKey: { kty: 'EC' },
    })
    expect(broker.seen).toHaveLength(1)
  })

  test('of another sign-in is refused, since its challenge is another one, and the sign-in keeps waiting', async () => {
    const { handoff, callback } = await newStrict()
    await expect(handoff.authorize(CALLBACK).exchange(callback)).rejects.toMatchObject(refused('expired'))
  })

  test('is refused as unverified if the broker does not answer', async () => {
    const { request, callback, broker } = await newStrict()
    broker.script.push(() => Promise.reject(new NetworkError('unreachable')))
    await expect(request.exchange(callback)).rejects.toMatchObject(refused('unverified'))
  })

  const unavailable = (status: number, seconds: string) => () =>
    Promise.resolve(
      new Response('{"error":"temporarily_unavailable"}', { status, headers: { 'retry-after': seconds } }),
    )

  test.each([503, 429])('is sent once more after a %s with a short Retry-After, and not before', async (status) => {
    const { request, callback, broker, clock } = await newStrict()
    broker.script.push(unavailable(status, '5'))
    const exchanged = request.exchange(callback)
    await expect.poll(() => clock.timers).toBe(1)
    clock.advance(4.9)
    expect(broker.seen).toHaveLength(1)
    clock.advance(0.1)
    expect(await exchanged).toMatchObject({ sessionId: SESSION_ID })
    expect(broker.seen).toHaveLength(2)
  })

  test('is refused as unverified after a second 503', async () => {
    const { request, callback, broker, clock } = await newStrict()
    broker.script.push(unavailable(503, '1'), unavailable(503, '1'))
    const outcome = expect(request.exchange(callback)).rejects.toMatchObject(refused('unverified'))
    await expect.poll(() => clock.timers).toBe(1)
    clock.advance(1)
    await outcome
    expect(broker.seen).toHaveLength(2)
  })

  test('is not sent again if Retry-After is longer than a person waits', async () => {
    const { request, callback, broker } = await newStrict()
    broker.script.push(unavailable(503, '6'))
    await expect(request.exchange(callback)).rejects.toMatchObject(refused('unverified'))
    expect(broker.seen).toHaveLength(1)
  })

  test('that the broker rejects for its proof ends the sign-in', async () => {
    const { request, callback, broker } = await newStrict()
    broker.script.push(() => broker.refuse('invalid_dpop_proof'))
    await expect(request.exchange(callback)).rejects.toMatchObject({ reason: 'invalid_dpop_proof' })
  })
})

describe('a callback', () => {
  test('with a valid token becomes a session that ends with the token', async () => {
    const { exchange, params, token, now } = await newHandoff()
    expect(await exchange(params)).toEqual({
      accessToken: { value: token, receivedAt: now, lifetime: 60 },
      refreshToken: null,
      user: { id: USER_ID, email: null, name: null },
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

  test.each([
    ['server_error', { name: 'UnavailableError', reason: 'server' }],
    ['temporarily_unavailable', { name: 'UnavailableError', reason: 'server' }],
    ['invalid_request', { name: 'RejectedError', reason: 'invalid_request' }],
    ['an-unknown-error', { name: 'RejectedError', reason: 'rejected' }],
  ])('with the error %s ends the sign-in', async (error, failure) => {
    const { exchange } = await newHandoff()
    await expect(exchange({ error })).rejects.toMatchObject(failure)
  })

  test('takes name and e-mail address from the token alone, without control characters and cut to 320', async () => {
    const { exchange, params, now } = await newHandoff()
    const name = `Ada\u001b[31m\u202e\u2028${'x'.repeat(5000)}`
    const token = await signToken(now, { claims: { name, email: ' \n' } })
    const { user } = await exchange({ ...params, token, user_name: 'Eve', user_email: 'eve@example.com' })
    expect(user).toEqual({ id: USER_ID, email: null, name: `Ada [31m ${'x'.repeat(311)}` })
  })

  test.each(['\r', '\n', '\t', ' ', '%0a'])('whose token has %j in its signature is refused', async (sign) => {
    const { exchange, params, token } = await newHandoff()
    const broken = `${token.slice(0, -5)}${sign}${token.slice(-5)}`
    await expect(exchange({ ...params, token: broken })).rejects.toMatchObject(refused('forged'))
  })

  test('with a token is incomplete if the profile accepts none', async () => {
    const { exchange, params } = await newHandoff({ tokenInCallback: false })
    await expect(exchange(params)).rejects.toMatchObject(refused('incomplete'))
  })

  test('with a code is incomplete without a broker, which a code needs', async () => {
    const { exchange } = await newHandoff()
    await expect(exchange({ code: 'code' })).rejects.toMatchObject(refused('incomplete'))
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

  test('that the broker has not taken over yet does not end because the broker refuses its token', async () => {
    const refusal: Fetch = async () => Response.json({ error: 'invalid_grant' }, { status: 400 })
    const { handoff } = await newHandoff({ brokerUrl: BROKER }, refusal)
    await expect(handoff.refresh(session({ refreshToken: null }))).rejects.toMatchObject({ name: 'RejectedError' })
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
