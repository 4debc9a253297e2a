// A hand-off session renewed by the broker: the real daemon, real brokers, the sandbox's Clerk behind them.
import { readdir, readFile } from 'node:fs/promises'
import { createServer, request as makeRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { BrokerOptions } from '../../src/broker/broker.ts'
import type { Sandbox } from '../sandbox/index.ts'
import { newKey, startBroker } from '../support/broker.ts'
import { comeBack, type HandoffSettings, newHandoff } from '../support/handoff.ts'
import { startDaemonProcess } from '../support/program.ts'
import { until } from '../support/world.ts'

const SHORT = 2 // s; a token's life in these tests
const SOON = { timeout: 8000, interval: 100 } // a failing broker is asked again after half a second, then a second

/** A server whose answers the test chooses, in front of a broker. */
async function newFront(target?: string) {
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
  const front = await newFront()
  const world = await newHandoff({ brokerUrl: front.url, ...settings })
  const { sandbox, client, start, params, sessionId } = world
  sandbox.backend.setTokenLifetime(SHORT)
  front.state.target = (await startBroker(sandbox, { requestsPerMinute: 1000, ...over })).url
  const signIn = async (lifetimeSeconds = SHORT) => {
    const callback = await start()
    const page = await comeBack(callback, params(await sandbox.backend.sessionToken(sessionId, { lifetimeSeconds })))
    expect(page.title).toBe('Signed in')
    return await client.call('status')
  }
  const header = () => client.call('getAuthHeader', { interactive: false })
  return { ...world, front, signIn, header }
}

const minted = (sandbox: Sandbox, sessionId: string) => sandbox.count(`/v1/sessions/${sessionId}/tokens`)

describe('a hand-off session with a broker', () => {
  it('goes on for many lifetimes of its token after one sign-in, and over a restart', async () => {
    const { client, signIn, header, sandbox, sessionId, front, home } = await newWorld()
    const status = await signIn()
    expect(status).toMatchObject({ state: 'signed_in', sessionId, user: { id: sandbox.user.id } })
    expect(Number(status.sessionExpiresAt) - Date.now() / 1000).toBeGreaterThan(6 * 86_400)
    const seen = new Set<string>()
    for (let n = 0; n < 2; n++) {
      const { headers, expiresAt } = await header()
      seen.add(headers.Authorization)
      await until(expiresAt)
    }
    expect(seen.size).toBe(2)
    // The session token went to the broker once; from then on only the broker's own token did.
    expect(front.bodies[0]).toEqual({ session_id: sessionId })
    for (const body of front.bodies.slice(1)) expect(Object.keys(body)).toEqual(['refresh_token'])

    const again = await startDaemonProcess({ home }, '--replace')
    const other = await again.connect()
    expect((await other.call('getAuthHeader', { interactive: false })).headers.Authorization).toMatch(/^Bearer ey/)
    expect(await client.closed).toBe(1012)
    const file = await readFile(join(home, 'config', 'sessions', 'production.jwe'), 'utf8')
    expect(file).not.toContain(String(front.bodies.at(-1)?.refresh_token))
  })

  it('asks the broker once for all who wait', async () => {
    const { daemon, signIn, header, sandbox, sessionId } = await newWorld()
    await signIn()
    const { expiresAt } = await header()
    const clients = await Promise.all(Array.from({ length: 20 }, () => daemon.connect()))
    await until(expiresAt)
    const before = minted(sandbox, sessionId)
    const headers = await Promise.all(
      clients.flatMap((one) => Array.from({ length: 10 }, () => one.call('getAuthHeader', { interactive: false }))),
    )
    expect(new Set(headers.map((one) => one.headers.Authorization)).size).toBe(1)
    expect(minted(sandbox, sessionId) - before).toBe(1)
  })

  it('ends at Clerk when the person logs out', async () => {
    const { client, signIn, sandbox, sessionId, home } = await newWorld()
    await signIn()
    const { expiresAt } = await client.call('getAuthHeader')
    expect(await client.call('logout')).toEqual({ revoked: true, accessTokenValidUntil: expiresAt })
    expect(sandbox.backend.status(sessionId)).toBe('revoked')
    expect(await readdir(join(home, 'config', 'sessions'))).toEqual([])
  })

  it('is gone here where the broker cannot be told of the logout, which then says so', async () => {
    const { client, signIn, front, home } = await newWorld()
    await signIn()
    front.script.push(() => 'drop')
    expect(await client.call('logout')).toMatchObject({ revoked: false })
    expect(await readdir(join(home, 'config', 'sessions'))).toEqual([])
  })

  it('ends with session_revoked where Clerk has ended it, and one sign-in brings it back', async () => {
    const { client, signIn, header, sandbox, sessionId, start, params } = await newWorld()
    await signIn()
    const { expiresAt } = await header()
    sandbox.backend.end(sessionId, 'revoked')
    await until(expiresAt)
    await expect(header()).rejects.toMatchObject({ code: 1001, data: { reason: 'session_revoked' } })
    expect(await client.call('status')).toMatchObject({ state: 'signed_out', user: null })
    sandbox.backend.end(sessionId, 'active')
    await comeBack(await start(), params(await sandbox.backend.sessionToken(sessionId)))
    expect((await header()).headers.Authorization).toMatch(/^Bearer ey/)
  })

  it('ends with session_expired at Clerk’s own limit', async () => {
    const front = await newFront()
    const { sandbox, client, start, daemon } = await newHandoff({ brokerUrl: front.url })
    sandbox.backend.setTokenLifetime(SHORT)
    front.state.target = (await startBroker(sandbox)).url
    const sessionId = sandbox.backend.createSession({ lifetimeSeconds: 2 })
    const callback = await start()
    const token = await sandbox.backend.sessionToken(sessionId)
    await comeBack(callback, { token, session_id: sessionId, user_id: sandbox.user.id })
    const { sessionExpiresAt } = await client.call('status')
    expect(sessionExpiresAt).not.toBeNull()
    await until(Number(sessionExpiresAt) + SHORT)
    await expect(client.call('getAuthHeader', { interactive: false })).rejects.toMatchObject({
      code: 1001,
      data: { reason: 'session_expired' },
    })
    expect(daemon.child.exitCode).toBeNull()
  })

  it('leaves the browser’s session alone where the person signs in once more', async () => {
    const { signIn, sandbox, sessionId, header } = await newWorld()
    await signIn()
    await signIn(SHORT + 1)
    expect(sandbox.backend.status(sessionId)).toBe('active')
    expect((await header()).headers.Authorization).toMatch(/^Bearer ey/)
  })
})

describe('a broker in trouble signs nobody out', () => {
  const json = { 'content-type': 'application/json' }
  const refusal =
    (status: number, error: string, headers = {}) =>
    () => ({
      status,
      headers: { ...json, ...headers },
      body: JSON.stringify({ error, error_description: 'canary-of-the-broker' }),
    })
  const troubles = [
    ['that is not there', () => 'drop' as const, 1003, 'network'],
    ['that asks to wait', refusal(429, 'temporarily_unavailable', { 'retry-after': '1' }), 1003, 'rate_limited'],
    ['that fails', refusal(500, 'server_error'), 1003, 'server'],
    ['behind a proxy that fails', () => ({ status: 502, body: '<html>' }), 1003, 'server'],
    ['that talks nonsense', () => ({ status: 200, body: '<html>' }), 1003, 'server'],
    ['that gives no token', () => ({ status: 200, headers: json, body: '{"token":""}' }), 1003, 'server'],
    ['that redirects', () => ({ status: 302, headers: { location: 'http://127.0.0.1:1/' }, body: '' }), 1003, 'server'],
    ['that refuses the request', refusal(400, 'invalid_request'), 1004, 'invalid_request'],
    ['that wants the person', refusal(400, 'interaction_required'), 1004, 'rejected'],
  ] as const

  it.each(troubles)('one %s', async (_what, trouble, code, reason) => {
    const { signIn, header, front, client } = await newWorld()
    await signIn(60)
    front.script.push(trouble)
    const failure = await client.call('refresh').catch((error: unknown) => error)
    expect(failure).toMatchObject({ code, data: { reason } })
    expect(JSON.stringify(failure)).not.toContain('canary')
    expect(await client.call('status')).toMatchObject({ state: 'signed_in', refresh: { lastError: reason } })
    await expect.poll(() => header().catch(() => undefined), SOON).toBeDefined()
    await expect.poll(() => client.call('refresh').catch(() => undefined), SOON).toBeDefined()
  })

  it('one that mixes people up', async () => {
    const { signIn, front, client, sandbox } = await newWorld()
    const { sessionId } = await signIn(60)
    const other = sandbox.backend.createSession({ userId: 'user_2other' })
    const token = await sandbox.backend.sessionToken(other)
    for (const session_id of [other, String(sessionId)]) {
      const body = JSON.stringify({ token, expires_in: 60, session_id, refresh_token: 'x', session_expires_at: null })
      front.script.push(() => ({ status: 200, headers: json, body }))
      const mixedUp = { code: 1003, data: { reason: 'server' } }
      await expect(client.call('refresh')).rejects.toMatchObject(mixedUp)
      await expect.poll(() => client.call('refresh').catch(() => undefined), SOON).toBeDefined()
    }
    expect((await client.call('status')).user?.id).toBe(sandbox.user.id)
  })

  it('one that is not there yet: the sign-in succeeds, and is renewed as soon as it is', async () => {
    const { signIn, header, front, sandbox, sessionId, client } = await newWorld()
    front.script.push(() => 'drop')
    await signIn(60)
    expect(minted(sandbox, sessionId)).toBe(0)
    const first = await header()
    expect(first.headers.Authorization).toMatch(/^Bearer ey/)
    expect((await client.call('refresh')).headers.Authorization).not.toBe(first.headers.Authorization)
    expect(Number((await client.call('status')).sessionExpiresAt) - first.expiresAt).toBeGreaterThan(86_400)
  })

  it('a backend that only says no is as today: the token serves to its end, then a person is asked', async () => {
    const { start, params, client, sandbox, sessionId, front, header } = await newWorld()
    front.script.push(refusal(401, 'reauthentication_required'), refusal(401, 'reauthentication_required'))
    await comeBack(await start(), params(await sandbox.backend.sessionToken(sessionId, { lifetimeSeconds: 2 })))
    const { tokenExpiresAt, sessionExpiresAt } = await client.call('status')
    expect(sessionExpiresAt).toBe(tokenExpiresAt)
    await header()
    await until(Number(tokenExpiresAt))
    await expect(header()).rejects.toMatchObject({ code: 1001, data: { reason: 'session_expired' } })
  })
})

describe('several copies of the broker behind a balancer', () => {
  it('serve the same people, and one that is killed costs no sign-in', async () => {
    const front = await newFront()
    const { sandbox, client, start, params, sessionId } = await newHandoff({ brokerUrl: front.url })
    sandbox.backend.setTokenLifetime(SHORT)
    const keys = [newKey()]
    const copies = await Promise.all([1, 2, 3].map(() => startBroker(sandbox, { keys, requestsPerMinute: 1000 })))
    let turn = 0
    const next = () => {
      front.state.target = copies[turn++ % copies.length]?.url
      return undefined
    }
    front.script.push(...Array.from({ length: 200 }, () => next))
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
