// A hand-off session that the broker refreshes: the real daemon, real brokers, and the sandbox's Clerk.
import { readdir, readFile } from 'node:fs/promises'
import { createServer, request as makeRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { BrokerOptions } from '../../src/broker/broker.ts'
import type { Sandbox } from '../sandbox/index.ts'
import { newKey, startBroker } from '../support/broker.ts'
import { newClerkAuthenticator } from '../support/clerk-authenticator.ts'
import { comeBack, type HandoffSettings, newHandoff, PAGE } from '../support/handoff.ts'
import { startDaemonProcess } from '../support/program.ts'
import { newSandbox, waitUntil } from '../support/world.ts'

const SHORT = 2 // s; the lifetime of the tokens that a broker issues here
const SOON = { interval: 100 } // the daemon retries a failing broker after 0.5 s, then after 1 s

/** A proxy in proxy of a broker, whose responses the test can replace. */
async function newProxy(target?: string) {
  const bodies: Record<string, unknown>[] = []
  const script: ((
    body: string,
  ) => { status: number; headers?: Record<string, string>; body: string } | 'drop' | undefined)[] = []
  const state = { target }
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      bodies.push(JSON.parse(body.toString('utf8')))
      const scripted = script.shift()?.(body.toString('utf8'))
      if (scripted === 'drop') return void response.destroy()
      if (scripted) return void response.writeHead(scripted.status, scripted.headers).end(scripted.body)
      const { hostname, port } = new URL(String(state.target))
      const { method, url, headers } = request
      const passed = makeRequest({ hostname, port, method, path: url, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(response)
      })
      passed.on('error', () => response.destroy())
      passed.end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies, script, state }
}

async function newWorld(settings: HandoffSettings = {}, over: Partial<BrokerOptions> = {}) {
  const proxy = await newProxy()
  const world = await newHandoff({ brokerUrl: proxy.url, ...settings })
  const { sandbox, client, start, params, sessionId } = world
  sandbox.backend.setTokenLifetime(SHORT)
  proxy.state.target = (await startBroker(sandbox, { requestsPerMinute: 1000, publicUrl: proxy.url, ...over })).url
  const signIn = async (lifetimeSeconds = 60) => {
    const callback = await start()
    const page = await comeBack(callback, params(await sandbox.backend.sessionToken(sessionId, { lifetimeSeconds })))
    expect(page.title).toBe('Signed in')
    return await client.call('status')
  }
  const header = () => client.call('getAuthHeader', { interactive: false })
  return { ...world, proxy, signIn, header }
}

const minted = (sandbox: Sandbox, sessionId: string) => sandbox.count(`/v1/sessions/${sessionId}/tokens`)

describe('a hand-off session with a broker', () => {
  it('lasts for many tokens after one sign-in, and over a restart of the daemon', async () => {
    const { client, signIn, header, sandbox, sessionId, proxy, home } = await newWorld()
    const status = await signIn()
    expect(status).toMatchObject({ state: 'signed_in', sessionId, user: { id: sandbox.user.id } })
    expect(Number(status.sessionExpiresAt) - Date.now() / 1000).toBeGreaterThan(6 * 86_400)
    const seen = new Set<string>()
    for (let n = 0; n < 2; n++) {
      const { headers, expiresAt } = await header()
      seen.add(headers.Authorization)
      await waitUntil(expiresAt)
    }
    expect(seen.size).toBe(2)
    // The daemon sends the session token once; from then on it sends only the broker's refresh token.
    expect(proxy.bodies[0]).toEqual({ session_id: sessionId })
    for (const body of proxy.bodies.slice(1)) expect(Object.keys(body)).toEqual(['refresh_token'])

    const again = await startDaemonProcess({ home }, '--replace')
    const other = await again.connect()
    expect((await other.call('getAuthHeader', { interactive: false })).headers.Authorization).toMatch(/^Bearer ey/)
    expect(await client.closed).toBe(1012)
    const file = await readFile(join(home, 'config', 'sessions', 'production.jwe'), 'utf8')
    expect(file).not.toContain(String(proxy.bodies.at(-1)?.refresh_token))
  })

  it('is refreshed once for all clients that wait', async () => {
    const { daemon, signIn, header, sandbox, sessionId } = await newWorld()
    await signIn()
    const { expiresAt } = await header()
    const clients = await Promise.all(Array.from({ length: 20 }, () => daemon.connect()))
    await waitUntil(expiresAt)
    const before = minted(sandbox, sessionId)
    const headers = await Promise.all(
      clients.flatMap((one) => Array.from({ length: 10 }, () => one.call('getAuthHeader', { interactive: false }))),
    )
    expect(new Set(headers.map((one) => one.headers.Authorization)).size).toBe(1)
    expect(minted(sandbox, sessionId) - before).toBe(1)
  })

  it('is revoked at Clerk when the user logs out', async () => {
    const { client, signIn, sandbox, sessionId, home } = await newWorld()
    await signIn()
    const { expiresAt } = await client.call('getAuthHeader')
    expect(await client.call('logout')).toEqual({ revoked: true, accessTokenValidUntil: expiresAt })
    expect(sandbox.backend.status(sessionId)).toBe('revoked')
    expect(await readdir(join(home, 'config', 'sessions'))).toEqual([])
  })

  it('is deleted locally if the broker cannot be reached at logout, which answers revoked: false', async () => {
    const { client, signIn, proxy, home } = await newWorld()
    await signIn()
    proxy.script.push(() => 'drop')
    expect(await client.call('logout')).toMatchObject({ revoked: false })
    expect(await readdir(join(home, 'config', 'sessions'))).toEqual([])
  })

  it('ends with session_revoked if Clerk has revoked it, and the next sign-in succeeds', async () => {
    const { client, signIn, header, sandbox, sessionId, start, params } = await newWorld()
    await signIn()
    const { expiresAt } = await header()
    sandbox.backend.setStatus(sessionId, 'revoked')
    await waitUntil(expiresAt)
    await expect(header()).rejects.toMatchObject({ code: 1001, data: { reason: 'session_revoked' } })
    expect(await client.call('status')).toMatchObject({ state: 'signed_out', user: null })
    sandbox.backend.setStatus(sessionId, 'active')
    await comeBack(await start(), params(await sandbox.backend.sessionToken(sessionId)))
    expect((await header()).headers.Authorization).toMatch(/^Bearer ey/)
  })

  it('ends with session_expired if Clerk has expired it at its known end', async () => {
    const proxy = await newProxy()
    const { sandbox, client, start } = await newHandoff({ brokerUrl: proxy.url })
    proxy.state.target = (await startBroker(sandbox, { publicUrl: proxy.url })).url
    const sessionId = sandbox.backend.createSession({ lifetimeSeconds: 55 }) // its end is near enough to count as reached
    const token = await sandbox.backend.sessionToken(sessionId)
    await comeBack(await start(), { token, session_id: sessionId, user_id: sandbox.user.id })
    expect((await client.call('status')).sessionExpiresAt).not.toBeNull()
    sandbox.backend.setStatus(sessionId, 'expired')
    await expect(client.call('refresh')).rejects.toMatchObject({ code: 1001, data: { reason: 'session_expired' } })
    expect(await client.call('status')).toMatchObject({ state: 'signed_out' })
  })

  it('stays active at Clerk if the user signs in again', async () => {
    const { signIn, sandbox, sessionId, header } = await newWorld()
    await signIn()
    await signIn(61)
    expect(sandbox.backend.status(sessionId)).toBe('active')
    expect((await header()).headers.Authorization).toMatch(/^Bearer ey/)
  })
})

describe('the session is kept if the broker', () => {
  const json = { 'content-type': 'application/json' }
  const refusal =
    (status: number, error: string, headers = {}) =>
    () => ({
      status,
      headers: { ...json, ...headers },
      body: JSON.stringify({ error, error_description: 'canary-of-the-broker' }),
    })
  const failures = [
    ['is unreachable', () => 'drop' as const, 1003, 'network'],
    ['is rate limited', refusal(429, 'temporarily_unavailable', { 'retry-after': '1' }), 1003, 'rate_limited'],
    ['answers 500', refusal(500, 'server_error'), 1003, 'server'],
    ['is behind a proxy that answers 502', () => ({ status: 502, body: '<html>' }), 1003, 'server'],
    ['answers HTML', () => ({ status: 200, body: '<html>' }), 1003, 'server'],
    ['sends an empty token', () => ({ status: 200, headers: json, body: '{"token":""}' }), 1003, 'server'],
    ['redirects', () => ({ status: 302, headers: { location: 'http://127.0.0.1:1/' }, body: '' }), 1003, 'server'],
    ['rejects the request', refusal(400, 'invalid_request'), 1004, 'invalid_request'],
    ['requires an interaction', refusal(400, 'interaction_required'), 1004, 'rejected'],
  ] as const

  it.each(failures)('%s', async (_name, fail, code, reason) => {
    const { signIn, header, proxy, client } = await newWorld()
    await signIn()
    proxy.script.push(fail)
    const failure = await client.call('refresh').catch((error: unknown) => error)
    expect(failure).toMatchObject({ code, data: { reason } })
    expect(JSON.stringify(failure)).not.toContain('canary')
    expect(await client.call('status')).toMatchObject({ state: 'signed_in', refresh: { lastError: reason } })
    await expect.poll(() => header().catch(() => undefined), SOON).toBeDefined()
    await expect.poll(() => client.call('refresh').catch(() => undefined), SOON).toBeDefined()
  })

  it('answers for another user or session', async () => {
    const { signIn, proxy, client, sandbox } = await newWorld()
    const { sessionId } = await signIn()
    const other = sandbox.backend.createSession({ userId: 'user_2other' })
    const token = await sandbox.backend.sessionToken(other)
    for (const session_id of [other, String(sessionId)]) {
      const body = JSON.stringify({ token, expires_in: 60, session_id, refresh_token: 'x', session_expires_at: null })
      proxy.script.push(() => ({ status: 200, headers: json, body }))
      const unavailable = { code: 1003, data: { reason: 'server' } }
      await expect(client.call('refresh')).rejects.toMatchObject(unavailable)
      await expect.poll(() => client.call('refresh').catch(() => undefined), SOON).toBeDefined()
    }
    expect((await client.call('status')).user?.id).toBe(sandbox.user.id)
  })

  it('does not exist yet: the sign-in succeeds, and a later refresh as well', async () => {
    const { signIn, header, proxy, sandbox, sessionId, client } = await newWorld()
    proxy.script.push(() => 'drop')
    await signIn()
    expect(minted(sandbox, sessionId)).toBe(0)
    const first = await header()
    expect(first.headers.Authorization).toMatch(/^Bearer ey/)
    expect((await client.call('refresh')).headers.Authorization).not.toBe(first.headers.Authorization)
    expect(Number((await client.call('status')).sessionExpiresAt) - first.expiresAt).toBeGreaterThan(86_400)
  })

  it('rejects every refresh: the user signs in again when the token has ended', async () => {
    const sandbox = await newSandbox()
    const proxy = await newProxy()
    const reject = refusal(401, 'reauthentication_required')
    proxy.script.push(reject, reject, reject)
    const production = { issuer: sandbox.issuer, signInUrl: PAGE, redirectPort: 0, brokerUrl: proxy.url }
    const { authenticator, clock } = await newClerkAuthenticator({}, { profiles: { production } })
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    const url = new URL(String(authenticator.status().authorizationUrl))
    const sessionId = sandbox.backend.createSession()
    const token = await sandbox.backend.sessionToken(sessionId)
    const callback = new URL(String(url.searchParams.get('redirect_url')))
    await comeBack(callback, { token, session_id: sessionId, user_id: sandbox.user.id })
    const { tokenExpiresAt, sessionExpiresAt } = authenticator.status()
    expect(sessionExpiresAt).toBe(tokenExpiresAt)
    expect((await authenticator.authHeader(0, false)).headers.Authorization).toBe(`Bearer ${token}`)
    clock.advance(Number(tokenExpiresAt) + 1 - clock.now())
    await expect(authenticator.authHeader(0, false)).rejects.toMatchObject({ reason: 'session_expired' })
  })
})

describe('several copies of the broker behind a balancer', () => {
  it('refresh the same session, and one that stops costs no sign-in', async () => {
    const proxy = await newProxy()
    const { sandbox, client, start, params, sessionId } = await newHandoff({ brokerUrl: proxy.url })
    sandbox.backend.setTokenLifetime(SHORT)
    const keys = [newKey()]
    const copies = await Promise.all(
      [1, 2, 3].map(() => startBroker(sandbox, { keys, requestsPerMinute: 1000, publicUrl: proxy.url })),
    )
    let turn = 0
    const next = () => {
      proxy.state.target = copies[turn++ % copies.length]?.url
      return undefined
    }
    proxy.script.push(...Array.from({ length: 200 }, () => next))
    await comeBack(await start(), params(await sandbox.backend.sessionToken(sessionId)))
    let failures = 0
    for (let n = 0; n < 12; n++) {
      if (n === 5) await copies[1]?.close()
      const result = await client.call('refresh').catch((error: unknown) => error)
      if (result instanceof Error) {
        failures++
        expect(result).toMatchObject({ code: 1003 })
        await expect.poll(() => client.call('refresh').catch(() => undefined), SOON).toBeDefined()
      }
    }
    expect(failures).toBeGreaterThan(0)
    expect((await client.call('status')).state).toBe('signed_in')
  })
})
