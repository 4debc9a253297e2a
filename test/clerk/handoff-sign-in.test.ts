// A sign-in by hand-off through the real daemon: the daemon verifies every callback token, and a refused one changes nothing.
import { readdir, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { newClerkAuthenticator } from '../support/clerk-authenticator.ts'
import { comeBack, newHandoff, PAGE } from '../support/handoff.ts'
import { newSandbox, nextStatus } from '../support/world.ts'

const JWKS = '/.well-known/jwks.json'
const PAGE_ORIGIN = 'https://www.example.com'

describe('a sign-in by hand-off', () => {
  it('succeeds with a page that returns no state', async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff({ requireState: false })
    const callback = await start()
    expect(callback.href).toBe(`http://localhost:${callback.port}/`)
    const { authorizationUrl } = await client.call('status')
    expect(authorizationUrl).toBe(`${PAGE}?redirect_url=${encodeURIComponent(callback.href)}`)

    const token = await sandbox.backend.sessionToken(sessionId, { azp: 'https://www.example.com' })
    const page = await comeBack(callback, params(token))
    expect(page).toMatchObject({ status: 200, title: 'Signed in' })
    expect(page.finalUrl.search).toBe('') // the address bar no longer shows the token
    expect(await client.call('status')).toMatchObject({
      state: 'signed_in',
      user: { id: sandbox.user.id, email: null, name: null }, // what the query says of them proves nothing
      sessionId,
    })
    expect((await client.call('getAuthHeader')).headers.Authorization).toBe(`Bearer ${token}`)
  })

  it('refuses callbacks without the state if the page returns one', async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff()
    const callback = await start()
    expect(callback.searchParams.get('state')).toMatch(/^[\w-]{43}$/)
    const token = await sandbox.backend.sessionToken(sessionId)

    const bare = new URL(callback)
    bare.search = ''
    expect(await comeBack(bare, params(token))).toMatchObject({ status: 400, title: 'Wrong sign-in link' })
    const wrong = { ...params(token), state: 'x'.repeat(43) }
    expect(await comeBack(bare, wrong)).toMatchObject({ status: 400, title: 'Wrong sign-in link' })
    expect(await comeBack(bare, { error: 'access_denied' })).toMatchObject({ status: 400 })
    expect(await client.call('status')).toMatchObject({ state: 'signing_in', user: null })

    expect(await comeBack(callback, params(token))).toMatchObject({ status: 200, title: 'Signed in' })
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
  })

  it('accepts a token from a JWT template, which names no session', async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff()
    sandbox.backend.addTemplate('cadzero', 900)
    const token = await sandbox.backend.sessionToken(sessionId, { template: 'cadzero' })
    expect(await comeBack(await start(), params(token))).toMatchObject({ title: 'Signed in' })
    expect(await client.call('status')).toMatchObject({ state: 'signed_in', sessionId })
  })

  it.each(['127.0.0.1', '[::1]'])('listens on %s until it ends', async (host) => {
    const { sandbox, start, params, sessionId, client } = await newHandoff()
    const callback = await start()
    callback.hostname = host
    const signedIn = nextStatus(client, ({ state }) => state === 'signed_in')
    expect(await comeBack(callback, params(await sandbox.backend.sessionToken(sessionId)))).toMatchObject({
      title: 'Signed in',
    })
    await signedIn
    await expect.poll(() => fetch(callback).catch(() => 'closed')).toBe('closed')
  })

  it('does not start if another program has the port on one loopback address', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '::1', resolve))
    onTestFinished(() => void other.close())
    const { port } = other.address() as { port: number }
    const { client } = await newHandoff({ redirectPort: port })
    await expect(client.call('login', { openBrowser: false, wait: false })).rejects.toMatchObject({
      code: 1007,
      data: { setting: 'profiles.production.redirectPort' },
    })
  })

  it('ends when the user declines on the page', async () => {
    const { client, start } = await newHandoff()
    const callback = await start()
    const waiting = client.call('login', { openBrowser: false })
    const declined = expect(waiting).rejects.toMatchObject({ code: 1002, data: { reason: 'access_denied' } })
    expect(await comeBack(callback, { error: 'access_denied' })).toMatchObject({ title: 'Sign-in declined' })
    await declined
  })

  it('is not ended by an error without a state, which any web site could send', async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff({ requireState: false })
    const callback = await start()
    expect(await comeBack(callback, { error: 'access_denied' })).toMatchObject({ status: 400 })
    expect(await client.call('status')).toMatchObject({ state: 'signing_in' })
    await comeBack(callback, params(await sandbox.backend.sessionToken(sessionId)))
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
  })

  it('completes once if two valid callbacks arrive at the same time', async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff({ requireState: false })
    const callback = await start()
    const tokens = await Promise.all(
      [60, 61].map((lifetimeSeconds) => sandbox.backend.sessionToken(sessionId, { lifetimeSeconds })),
    )
    const results = await Promise.all([...tokens, ...tokens].map((token) => comeBack(callback, params(token))))
    expect(results.map(({ title }) => title)).toEqual(Array(4).fill('Signed in'))
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
  })
})

describe('a callback that proves nothing', () => {
  type World = Awaited<ReturnType<typeof newHandoff>>
  type Params = Record<string, string> | [string, string][]
  const genuine = ({ sandbox, sessionId }: World, options?: Parameters<typeof sandbox.backend.sessionToken>[1]) =>
    sandbox.backend.sessionToken(sessionId, { azp: PAGE_ORIGIN, ...options })

  const broken: [reason: string, title: string, name: string, make: (world: World) => Promise<Params>][] = [
    [
      'forged',
      'Not from Clerk',
      'a changed signature',
      async (world) => world.params((await genuine(world)).replace(/\.[^.]+$/, '.AAAA')),
    ],
    ['incomplete', 'Sign-in incomplete', 'no token', async (world) => world.params('')],
    [
      'expired',
      'Too late',
      'an expired token',
      async (world) => world.params(await genuine(world, { issuedSecondsAgo: 120 })),
    ],
    [
      'wrong_audience',
      'From another place',
      'a token of another instance',
      async (world) => world.params(await genuine(world, { claims: { iss: 'https://clerk.other.example' } })),
    ],
    [
      'mismatched',
      'Accounts do not match',
      'the token of another user',
      async (world) => ({ ...world.params(await genuine(world)), user_id: 'user_2other' }),
    ],
    [
      'pending',
      'Account not ready',
      'a token of a pending session',
      async (world) => world.params(await genuine(world, { claims: { sts: 'pending' } })),
    ],
  ]

  it.each(broken)('is refused as %s on the page «%s»: %s', async (reason, title, _name, make) => {
    const world = await newHandoff({ authorizedParties: [PAGE_ORIGIN] })
    const { client, start, params, home, log } = world
    const callback = await start()
    const sent = await make(world)
    const page = await comeBack(callback, sent)
    expect(page).toMatchObject({ status: 400, title })
    expect(page.finalUrl.search).toBe('')
    expect(page.body).toContain('still waiting')
    expect(await client.call('status')).toMatchObject({ state: 'signing_in', user: null })
    expect(await readdir(join(home, 'config', 'sessions'))).toEqual([])

    expect(await comeBack(callback, params(await genuine(world)))).toMatchObject({ title: 'Signed in' })
    const lines = await log()
    expect(lines).toContainEqual(expect.objectContaining({ event: 'callback_refused', reason }))
    for (const [, value] of Array.isArray(sent) ? sent : Object.entries(sent)) {
      if (value.length > 20) expect(JSON.stringify(lines)).not.toContain(value)
    }
  })

  it('is accepted later if Clerk’s keys could not be fetched', async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff()
    const callback = await start()
    const token = await sandbox.backend.sessionToken(sessionId)
    sandbox.script(
      JWKS,
      { kind: 'drop' },
      { kind: 'respond', status: 503 },
      { kind: 'respond', status: 200, body: '<html>' },
    )
    for (let n = 0; n < 3; n++) {
      expect(await comeBack(callback, params(token))).toMatchObject({ status: 400, title: 'Could not be checked' })
    }
    expect(await comeBack(callback, params(token))).toMatchObject({ title: 'Signed in' })
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
  })
})

describe('a profile that refreshes nothing', () => {
  async function newWorld() {
    const sandbox = await newSandbox()
    const production = { issuer: sandbox.issuer, signInUrl: PAGE, redirectPort: 0, refresh: false }
    const world = await newClerkAuthenticator({}, { profiles: { production } })
    const { authenticator, clock } = world
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    const url = new URL(String(authenticator.status().authorizationUrl))
    const callback = new URL(String(url.searchParams.get('redirect_url')))
    const sessionId = sandbox.backend.createSession()
    const token = await sandbox.backend.sessionToken(sessionId)
    await comeBack(callback, { token, session_id: sessionId, user_id: sandbox.user.id })
    expect(authenticator.status()).toMatchObject({ state: 'signed_in' })
    const lifetime = Number(authenticator.status().tokenExpiresAt) - clock.now()
    return { ...world, token, lifetime }
  }

  it('reports the end of the token as the end of the session', async () => {
    const { authenticator } = await newWorld()
    const { sessionExpiresAt, tokenExpiresAt } = authenticator.status()
    expect(sessionExpiresAt).toBe(tokenExpiresAt)
  })

  it('serves its token until it ends, even to a client that asks for more', async () => {
    const { authenticator, clock, token, lifetime } = await newWorld()
    clock.advance(lifetime - 1)
    expect(await authenticator.authHeader(60, false)).toMatchObject({
      headers: { Authorization: `Bearer ${token}` },
      expiresAt: authenticator.status().tokenExpiresAt,
    })
  })

  it('refuses a refresh and stays signed in', async () => {
    const { authenticator } = await newWorld()
    await expect(authenticator.refresh()).rejects.toMatchObject({ reason: 'session_expired' })
    expect(authenticator.status()).toMatchObject({ state: 'signed_in' })
  })

  it('is signed out when the token has ended, and its session file is deleted', async () => {
    const { authenticator, clock, lifetime, sessionFile } = await newWorld()
    clock.advance(lifetime + 1)
    expect(authenticator.status()).toMatchObject({ state: 'signed_out', user: null })
    await expect(authenticator.authHeader(0, false)).rejects.toMatchObject({ reason: 'session_expired' })
    await authenticator.settled()
    await expect(stat(sessionFile)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
