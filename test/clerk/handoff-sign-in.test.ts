// Sign-in by hand-off: what the page brings is believed only where Clerk's own keys say so, and nothing else ends the wait.
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { importJWK, type JWK, SignJWT } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { newSigningKey } from '../sandbox/keys.ts'
import { comeBack, newHandoff, PAGE } from '../support/handoff.ts'
import { changed, until } from '../support/world.ts'

const JWKS = '/.well-known/jwks.json'

describe('signing in by hand-off', () => {
  it('works with the page as it is: a fixed callback, and no state', async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff({ requireState: false })
    const callback = await start()
    expect(callback.href).toBe(`http://localhost:${callback.port}/`)
    const { authorizationUrl } = await client.call('status')
    expect(authorizationUrl).toBe(`${PAGE}?redirect_url=${encodeURIComponent(callback.href)}`)

    const token = await sandbox.backend.sessionToken(sessionId, { azp: 'https://www.example.com' })
    const page = await comeBack(callback, params(token))
    expect(page).toMatchObject({ status: 200, title: 'Signed in' })
    expect(page.finalUrl.search).toBe('') // the token is gone from the address bar
    expect(await client.call('status')).toMatchObject({
      state: 'signed_in',
      user: { id: sandbox.user.id, email: 'ada@example.com', name: 'Ada Lovelace' },
      sessionId,
    })
    expect((await client.call('getAuthHeader')).headers.Authorization).toBe(`Bearer ${token}`)
  })

  it('asks the new page for the state, and takes nothing without it', async () => {
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

  it('takes a token from a template, which names no session', async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff()
    sandbox.backend.addTemplate('cadzero', 900)
    const token = await sandbox.backend.sessionToken(sessionId, { template: 'cadzero' })
    expect(await comeBack(await start(), params(token))).toMatchObject({ title: 'Signed in' })
    expect(await client.call('status')).toMatchObject({ state: 'signed_in', sessionId })
  })

  it.each(['127.0.0.1', '[::1]'])('listens on %s while it waits, and no longer', async (host) => {
    const { sandbox, start, params, sessionId, client } = await newHandoff()
    const callback = await start()
    callback.hostname = host
    const signedIn = changed(client, ({ state }) => state === 'signed_in')
    expect(await comeBack(callback, params(await sandbox.backend.sessionToken(sessionId)))).toMatchObject({
      title: 'Signed in',
    })
    await signedIn
    await expect.poll(() => fetch(callback).catch(() => 'closed'), { timeout: 5000 }).toBe('closed')
  })

  it('does not start where another program has the port on one of the two addresses', async () => {
    const squatter = createServer()
    await new Promise<void>((resolve) => squatter.listen(0, '::1', resolve))
    onTestFinished(() => void squatter.close())
    const { port } = squatter.address() as { port: number }
    const { client } = await newHandoff({ redirectPort: port })
    await expect(client.call('login', { openBrowser: false, wait: false })).rejects.toMatchObject({
      code: 1007,
      data: { setting: 'profiles.production.redirectPort' },
    })
  })

  it('ends when the person declines on the page', async () => {
    const { client, start } = await newHandoff()
    const callback = await start()
    const waiting = client.call('login', { openBrowser: false })
    const declined = expect(waiting).rejects.toMatchObject({ code: 1002, data: { reason: 'access_denied' } })
    expect(await comeBack(callback, { error: 'access_denied' })).toMatchObject({ title: 'Sign-in declined' })
    await declined
  })

  it('is not ended by an error that nobody knows the sender of', async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff({ requireState: false })
    const callback = await start()
    expect(await comeBack(callback, { error: 'access_denied' })).toMatchObject({ status: 400 })
    expect(await client.call('status')).toMatchObject({ state: 'signing_in' })
    await comeBack(callback, params(await sandbox.backend.sessionToken(sessionId)))
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
  })

  it('is done once where two good callbacks come side by side', async () => {
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
  const strangersKey = newSigningKey()
  const forge = async ({ sandbox, sessionId }: World, header: Record<string, unknown> = {}) => {
    const key = await strangersKey
    const now = Math.floor(Date.now() / 1000)
    return await new SignJWT({ sid: sessionId, sts: 'active', v: 2 })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: String(key.jwk.kid), ...header })
      .setIssuer(sandbox.issuer)
      .setSubject(sandbox.user.id)
      .setIssuedAt(now)
      .setExpirationTime(now + 60)
      .sign(await importJWK(key.jwk as JWK, 'RS256'))
  }
  const genuine = ({ sandbox, sessionId }: World, options?: Parameters<typeof sandbox.backend.sessionToken>[1]) =>
    sandbox.backend.sessionToken(sessionId, { azp: 'https://www.example.com', ...options })

  const broken: [string, string, string, (world: World) => Promise<Record<string, string> | [string, string][]>][] = [
    ['a token that Clerk did not sign', 'forged', 'Not from Clerk', async (w) => w.params(await forge(w))],
    [
      'a token with the right key id and the wrong signature',
      'forged',
      'Not from Clerk',
      async (w) => w.params((await genuine(w)).replace(/\.[^.]+$/, '.AAAA')),
    ],
    ['no token at all', 'incomplete', 'Sign-in incomplete', async (w) => w.params('')],
    ['text', 'forged', 'Not from Clerk', async (w) => w.params('<script>alert(1)</script>')],
    ['a token that is over', 'expired', 'Too late', async (w) => w.params(await genuine(w, { issuedSecondsAgo: 120 }))],
    [
      'another instance’s token',
      'wrong_audience',
      'From another place',
      async (w) => w.params(await genuine(w, { claims: { iss: 'https://clerk.other.example' } })),
    ],
    [
      'a token made for another site',
      'wrong_audience',
      'From another place',
      async (w) => w.params(await genuine(w, { azp: 'https://evil.example' })),
    ],
    [
      'another person’s token',
      'mismatched',
      'Accounts do not match',
      async (w) => ({ ...w.params(await genuine(w)), user_id: 'user_2other' }),
    ],
    [
      'another session’s token',
      'mismatched',
      'Accounts do not match',
      async (w) => ({ ...w.params(await genuine(w)), session_id: 'sess_2other' }),
    ],
    [
      'a sign-in that Clerk has not finished',
      'pending',
      'Account not ready',
      async (w) => w.params(await genuine(w, { claims: { sts: 'pending' } })),
    ],
    [
      'two tokens',
      'incomplete',
      'Sign-in incomplete',
      async (w) => [...Object.entries(w.params(await genuine(w))), ['token', await forge(w)]],
    ],
  ]

  it.each(broken)('%s changes nothing, is explained, and the sign-in goes on', async (_what, reason, title, make) => {
    const world = await newHandoff({ authorizedParties: ['https://www.example.com'] })
    const { client, start, params, sandbox, sessionId, home, log } = world
    const callback = await start()
    const sent = await make(world)
    const page = await comeBack(callback, sent)
    expect(page).toMatchObject({ status: 400, title })
    expect(page.finalUrl.search).toBe('')
    expect(page.body).toContain('still waiting')
    expect(await client.call('status')).toMatchObject({ state: 'signing_in', user: null })
    expect(await readdir(join(home, 'config', 'sessions'))).toEqual([])

    const right = await sandbox.backend.sessionToken(sessionId, { azp: 'https://www.example.com' })
    expect(await comeBack(callback, params(right))).toMatchObject({ title: 'Signed in' })
    const lines = await log()
    expect(lines).toContainEqual(expect.objectContaining({ event: 'callback_refused', reason }))
    for (const [, value] of Array.isArray(sent) ? sent : Object.entries(sent)) {
      if (value.length > 20) expect(JSON.stringify(lines)).not.toContain(value)
    }
  })

  it('does not count against the person where Clerk’s keys cannot be had', async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff()
    const callback = await start()
    const token = await sandbox.backend.sessionToken(sessionId)
    sandbox.script(
      JWKS,
      { kind: 'drop' },
      { kind: 'answer', status: 503 },
      { kind: 'answer', status: 200, body: '<html>' },
    )
    for (let n = 0; n < 3; n++) {
      expect(await comeBack(callback, params(token))).toMatchObject({ status: 400, title: 'Could not be checked' })
    }
    expect(await comeBack(callback, params(token))).toMatchObject({ title: 'Signed in' })
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
  })

  it('is no way to make the daemon ask Clerk again and again', async () => {
    const world = await newHandoff()
    const callback = await world.start()
    const forged = await Promise.all(Array.from({ length: 20 }, (_, n) => forge(world, { kid: `ins_2made${n}` })))
    for (const token of forged) await comeBack(callback, world.params(token))
    expect(world.sandbox.count(JWKS)).toBeLessThanOrEqual(2)
  })

  it('never comes to see a line break or an endless name', async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff()
    const sent = params(await sandbox.backend.sessionToken(sessionId))
    await comeBack(await start(), { ...sent, user_name: `Ada\r\n\u0000${'x'.repeat(5000)}`, user_email: '' })
    const { user } = await client.call('status')
    expect(user?.name).toMatch(/^Ada x+$/)
    expect(user?.name?.length).toBeLessThanOrEqual(320)
    expect(user?.email).toBeNull()
  })
})

describe('a profile that refreshes nothing', () => {
  it('says when the next sign-in is due, serves its token to the end, and asks a person then', async () => {
    const { sandbox, client, start, params, sessionId, home } = await newHandoff({ refresh: false })
    const token = await sandbox.backend.sessionToken(sessionId, { lifetimeSeconds: 3 })
    await comeBack(await start(), params(token))
    const { sessionExpiresAt, tokenExpiresAt } = await client.call('status')
    expect(sessionExpiresAt).toBe(tokenExpiresAt)
    // Asking for more than it has is no reason to withhold it, nor to bother anybody.
    const header = await client.call('getAuthHeader', { minValiditySeconds: 60, interactive: false })
    expect(header).toEqual({ headers: { Authorization: `Bearer ${token}` }, expiresAt: tokenExpiresAt })
    await expect(client.call('refresh')).rejects.toMatchObject({ code: 1001, data: { reason: 'session_expired' } })
    expect((await client.call('status')).state).toBe('signed_in')

    await until(Number(tokenExpiresAt))
    expect(await client.call('status')).toMatchObject({ state: 'signed_out', user: null })
    await expect(client.call('getAuthHeader', { interactive: false })).rejects.toMatchObject({
      code: 1001,
      data: { reason: 'session_expired' },
    })
    await expect.poll(() => readdir(join(home, 'config', 'sessions'))).toEqual([])
  })
})
