// The lifecycle of a session: the real daemon against the sandbox provider, over real sockets, on a real disk.
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { newLocalWorld } from '../support/daemon.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows } from '../support/posix.ts'
import { startDaemonProcess } from '../support/program.ts'
import { newSandbox, newWorld, nextStatus, settingsOf, signIn } from '../support/world.ts'

const TOKEN = '/oauth/token'
describe('a session', () => {
  it('[7009-3] goes from signed out to signed in, expired, refreshed, rejected and signed out again', async () => {
    const { sandbox, client, clock, signIn, folders } = await newLocalWorld({ accessTokenTtl: 20 })

    expect(await client.call('status')).toMatchObject({ state: 'signed_out', user: null, tokenExpiresAt: null })
    await expect(client.call('getAuthHeader', { interactive: false })).rejects.toMatchObject({
      code: 1001,
      data: { reason: 'signed_out' },
    })

    const status = await signIn()
    expect(status).toMatchObject({
      state: 'signed_in',
      user: { id: sandbox.user.id, email: 'ada@example.com', name: 'Ada Lovelace' },
      authorizationUrl: null,
      store: { persisted: true, keyProtection: 'keyfile' },
      daemon: { version: expect.any(String), pid: expect.any(Number), uptimeSeconds: expect.any(Number) },
    })

    const first = await client.call('getAuthHeader')
    const token = first.headers.Authorization.replace(/^Bearer /, '')
    const keys = createRemoteJWKSet(new URL(`${sandbox.issuer}/.well-known/jwks.json`))
    const { payload } = await jwtVerify(token, keys, { issuer: sandbox.issuer })
    expect(payload).toMatchObject({ sub: sandbox.user.id, client_id: sandbox.clientId })

    clock.advance(20)
    const second = await client.call('getAuthHeader')
    expect(second.headers.Authorization).not.toBe(first.headers.Authorization)
    expect(sandbox.count(TOKEN, 'refresh_token')).toBe(1)

    const current = second.headers.Authorization
    const third = await client.call('refresh', { rejected: current })
    expect(third.headers.Authorization).not.toBe(current)
    expect(await client.call('refresh', { rejected: current })).toEqual(third)
    expect(sandbox.count(TOKEN, 'refresh_token')).toBe(2)

    const { revoked, accessTokenValidUntil } = await client.call('logout')
    expect({ revoked, accessTokenValidUntil }).toEqual({ revoked: true, accessTokenValidUntil: third.expiresAt })
    expect(sandbox.count('/oauth/token/revoke')).toBe(1)
    expect(await client.call('status')).toMatchObject({ state: 'signed_out', user: null })
    expect(await readdir(folders.sessions)).toEqual([])
  })

  it('survives a restart and a kill of the daemon', async () => {
    const world = await newWorld()
    await world.signIn()
    const before = await world.client.call('getAuthHeader')
    for (const signal of [undefined, 'SIGKILL'] as const) {
      const daemon = await startDaemonProcess({ home: world.home, env: world.env }, '--replace')
      const client = await daemon.connect()
      expect(await client.call('getAuthHeader', { interactive: false })).toEqual(before)
      await daemon.stop(signal)
    }
    const last = await (await startDaemonProcess({ home: world.home, env: world.env })).connect()
    expect((await last.call('refresh')).headers).not.toEqual(before.headers)
    expect(world.sandbox.count('/oauth/authorize')).toBeLessThan(5)
  })

  it('[9700-6 6749-1] sends each refresh token once: a refresh uses the token that the previous one returned', async () => {
    const { sandbox, client, signIn } = await newWorld({ refreshReuse: 'strict' })
    await signIn()
    for (let i = 0; i < 5; i++) await client.call('refresh')
    const sent = sandbox.requests
      .filter(({ grantType }) => grantType === 'refresh_token')
      .map(({ form }) => form.refresh_token)
    expect(new Set(sent).size).toBe(5)
    expect(sandbox.requests.every(({ query }) => !('access_token' in query) && !('token' in query))).toBe(true)
  })

  it('sends no request to the provider while no client calls', async () => {
    const { sandbox, connect, client, clock, signIn } = await newLocalWorld({ accessTokenTtl: 20 })
    await signIn()
    await client.call('getAuthHeader')
    const requests = sandbox.requests.length
    clock.advance(17) // a call would now refresh in the background
    clock.advance(3600) // and now before it is answered
    await (await connect()).call('status') // a request of a timer would have been sent before this is answered
    expect(sandbox.requests).toHaveLength(requests)
  })

  it('sends one token request for a thousand callers when the token expires', async () => {
    const { sandbox, connect, client, clock, signIn } = await newLocalWorld({ accessTokenTtl: 20 })
    await signIn()
    const expired = await client.call('getAuthHeader')
    const clients = await Promise.all(Array.from({ length: 50 }, connect))
    clock.advance(20)
    const answers = await Promise.all(
      clients.flatMap((one) => Array.from({ length: 20 }, () => one.call('getAuthHeader', { interactive: false }))),
    )
    expect(answers).toHaveLength(1000)
    expect(new Set(answers.map(({ headers }) => headers.Authorization)).size).toBe(1)
    expect(answers[0]?.headers).not.toEqual(expired.headers)
    expect(sandbox.count(TOKEN, 'refresh_token')).toBe(1)
  })

  it('sends one token request that fails for all callers, and each caller gets the error', async () => {
    const { sandbox, connect, client, clock, signIn } = await newLocalWorld({ accessTokenTtl: 20 })
    await signIn()
    await client.call('getAuthHeader')
    const clients = await Promise.all(Array.from({ length: 10 }, connect))
    sandbox.script(TOKEN, { kind: 'respond', status: 500, body: '' })
    clock.advance(20)
    const outcomes = await Promise.allSettled(
      clients.flatMap((one) => Array.from({ length: 10 }, () => one.call('getAuthHeader'))),
    )
    const reasons = outcomes.map((one) => (one.status === 'rejected' ? one.reason : one.value))
    expect(reasons).toEqual(Array.from(reasons, () => expect.objectContaining({ code: 1003 })))
    expect(sandbox.count(TOKEN, 'refresh_token')).toBe(1)
  })

  it('[OWASP-end-of-session] notifies every connection of a change, and never sends a token with it', async () => {
    const { daemon, client, signIn, sandbox } = await newWorld()
    const other = await daemon.connect()
    const heard: string[] = []
    other.onNotification((method, params) => heard.push(JSON.stringify({ method, params })))
    const signedOut = nextStatus(other, ({ state }) => state === 'signed_out')
    await signIn()
    const { headers } = await client.call('refresh')
    await client.call('logout')
    await signedOut
    const states = heard.map((text) => JSON.parse(text).params.state)
    expect(states).toEqual(expect.arrayContaining(['signing_in', 'signed_in', 'signed_out']))
    expect(heard.every((text) => JSON.parse(text).method === 'sessionChanged')).toBe(true)
    expect(heard.join()).not.toContain(headers.Authorization.slice(7, 60))
    for (const { form } of sandbox.requests) {
      for (const secret of [form.refresh_token, form.code, form.code_verifier])
        if (secret) expect(heard.join()).not.toContain(secret)
    }
  })

  it('[6749-3] ends when the provider answers invalid_grant, and the error says so', async () => {
    for (const invalidGrantStatus of [400, 401] as const) {
      const { sandbox, client, signIn, home } = await newWorld({ invalidGrantStatus })
      await signIn()
      sandbox.revokeGrants()
      const failure = { code: 1001, data: { reason: 'session_revoked' } }
      await expect(client.call('refresh')).rejects.toMatchObject(failure)
      await expect(client.call('getAuthHeader', { interactive: false })).rejects.toMatchObject(failure)
      expect(await readdir(join(home, 'config', 'sessions'))).toEqual([])
      expect(sandbox.count(TOKEN, 'refresh_token')).toBe(1)
    }
  })

  it('counts the lifetime of an opaque token from its receipt, and revokes it with the grant', async () => {
    const { client, clock, signIn } = await newLocalWorld({ accessTokenFormat: 'opaque', accessTokenTtl: 100 })
    await signIn()
    const { expiresAt } = await client.call('getAuthHeader')
    expect(expiresAt).toBe(Math.floor(clock.now() + 100))
    expect(await client.call('logout')).toEqual({ revoked: true, accessTokenValidUntil: null })
  })

  it('ends locally if the provider cannot be reached, and the result says that the revocation is not confirmed', async () => {
    const { sandbox, client, signIn, home } = await newWorld()
    await signIn()
    sandbox.script('/oauth/token/revoke', { kind: 'drop' })
    expect(await client.call('logout')).toMatchObject({ revoked: false, accessTokenValidUntil: expect.any(Number) })
    expect(await readdir(join(home, 'config', 'sessions'))).toEqual([])
  })

  it('leaves nothing on disk and nothing at the provider after a logout during a refresh', async () => {
    const { sandbox, client, signIn, home } = await newWorld()
    await signIn()
    let release: () => void = () => undefined
    const until = new Promise<void>((resolve) => {
      release = resolve
    })
    sandbox.script(TOKEN, { kind: 'hold', until })
    const arrived = sandbox.arrived(TOKEN)
    const refreshing = client.call('refresh')
    await arrived
    const loggedOut = client.call('logout')
    release()
    await refreshing
    expect(await loggedOut).toMatchObject({ revoked: true })
    expect(await readdir(join(home, 'config', 'sessions'))).toEqual([])
    const rotated = sandbox.requests.find(({ path }) => path === '/oauth/token/revoke')?.form.token
    expect(rotated).not.toBe(
      sandbox.requests.find(({ grantType }) => grantType === 'refresh_token')?.form.refresh_token,
    )
  })

  it('leaves no secret in the log at level debug', async () => {
    const { sandbox, client, signIn, home, daemon } = await newWorld({ env: { CADZERO_AUTH_LOG_LEVEL: 'debug' } })
    await signIn()
    const { headers } = await client.call('refresh')
    sandbox.script(TOKEN, { kind: 'respond', status: 400, body: '{"error":"canary","error_description":"canary"}' })
    await expect(client.call('refresh')).rejects.toMatchObject({ code: 1004, data: { reason: 'rejected' } })
    await client.call('logout')
    await daemon.stop()
    const log = (await readFile(join(home, 'log', 'daemon.log'), 'utf8')) + daemon.stderr()
    expect(log).toContain('refreshed')
    const secrets = sandbox.requests.flatMap(({ form, query }) => [
      form.refresh_token,
      form.code,
      form.code_verifier,
      form.token,
      query.state,
      query.nonce,
      query.code_challenge,
    ])
    for (const secret of [...secrets, headers.Authorization.slice(7), 'canary'])
      if (secret) expect(log).not.toContain(secret)
    if (isWindows) return
    expect((await stat(join(home, 'log', 'daemon.log'))).mode & 0o777).toBe(0o600)
  })
})

describe('a session file', () => {
  it('[E4] is set aside if it is damaged, and the next sign-in writes a new one', async () => {
    const { sandbox, client, home, signIn: again, env, daemon } = await newWorld()
    await again()
    await daemon.stop()
    const path = join(home, 'config', 'sessions', 'production.jwe')
    await writeFile(path, (await readFile(path, 'utf8')).slice(0, -10))
    const next = await (await startDaemonProcess({ home, env })).connect()
    await expect(next.call('getAuthHeader', { interactive: false })).rejects.toMatchObject({ code: 1001 })
    expect(sandbox.count(TOKEN)).toBe(1)
    await signIn(next, sandbox)
    expect((await readdir(join(home, 'config', 'sessions'))).sort()).toEqual([
      'production.jwe',
      expect.stringContaining('.bad-'),
    ])
    client.close()
  })

  it('[E3] is kept if its key is gone: the error is key_missing, and a sign-in sets the file aside', async () => {
    const { home, env, daemon, signIn: first, sandbox } = await newWorld()
    await first()
    await daemon.stop()
    await rm(join(home, 'data', 'store-key.jwk'))
    const next = await (await startDaemonProcess({ home, env })).connect()
    const missing = { code: 1005, data: { reason: 'key_missing' } }
    await expect(next.call('getAuthHeader')).rejects.toMatchObject(missing)
    await expect(next.call('status')).rejects.toMatchObject(missing)
    expect(await readdir(join(home, 'config', 'sessions'))).toEqual(['production.jwe'])
    expect(await signIn(next, sandbox)).toMatchObject({ state: 'signed_in' })
    expect(await readdir(join(home, 'config', 'sessions'))).toHaveLength(2)
  })

  it('that the user deletes signs out here: nothing is revoked, and no file is written again', async () => {
    const { sandbox, client, home, signIn: first } = await newWorld()
    await first()
    await rm(join(home, 'config', 'sessions', 'production.jwe'))
    await expect(client.call('refresh')).rejects.toMatchObject({ code: 1001, data: { reason: 'signed_out' } })
    expect(await client.call('status')).toMatchObject({ state: 'signed_out' })
    expect([sandbox.count(TOKEN, 'refresh_token'), sandbox.count('/oauth/token/revoke')]).toEqual([0, 0])
    expect(await readdir(join(home, 'config', 'sessions'))).toEqual([])
  })

  it('of another issuer is not loaded', async () => {
    const { home, signIn: first, daemon } = await newWorld()
    await first()
    await daemon.stop()
    const other = await newSandbox()
    const next = await (await startDaemonProcess({ home, env: settingsOf(other) })).connect()
    expect(await next.call('status')).toMatchObject({ state: 'signed_out' })
    expect(other.count(TOKEN)).toBe(0)
  })
})

describe('profiles', () => {
  it('keep their sessions apart, and the slow provider of one does not delay another', async () => {
    const [one, two] = [await newSandbox(), await newSandbox()]
    const home = await temporaryFolder()
    const { mkdir } = await import('node:fs/promises')
    await mkdir(join(home, 'config'))
    const profiles = {
      one: { issuer: one.issuer, clientId: one.clientId },
      two: { issuer: two.issuer, clientId: two.clientId },
    }
    await writeFile(join(home, 'config', 'config.json'), JSON.stringify({ defaultProfile: 'one', profiles }))
    const client = await (await startDaemonProcess({ home })).connect()
    await signIn(client, one)
    const { authorizationUrl } = await client.call('login', { profile: 'two', openBrowser: false, wait: false })
    await two.signIn(String(authorizationUrl))
    expect(await client.call('status', { profile: 'two' })).toMatchObject({ profile: 'two', user: { id: two.user.id } })

    one.script(TOKEN, { kind: 'hang' })
    const arrived = one.arrived(TOKEN)
    const hanging = client.call('refresh').catch(() => undefined)
    await arrived
    expect(await client.call('refresh', { profile: 'two' })).toMatchObject({ headers: {} })
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
    expect(await client.call('getAuthHeader')).toMatchObject({ headers: {} })
    await one.close()
    await hanging
    await expect(client.call('status', { profile: 'three' })).rejects.toMatchObject({
      code: 1007,
      data: { setting: 'profile' },
    })
  })
})
