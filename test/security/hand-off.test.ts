// Attacks on the hand-off: who may complete a sign-in, what is shown of it, and to whom its session is sent.
import { readFile } from 'node:fs/promises'
import { createServer, request as makeRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startBroker } from '../support/broker.ts'
import { newDpopKey } from '../support/dpop.ts'
import { comeBack, configure, newHandoff } from '../support/handoff.ts'
import { canSwitchUser, startAsOtherUser, whySkipped } from '../support/other-user.ts'
import { startDaemonProcess } from '../support/program.ts'
import { newSandbox } from '../support/world.ts'

/** A listener that records every request. */
async function newThief() {
  const received: string[] = []
  const server = createServer((request, response) => {
    received.push(`${request.method} ${request.url}`)
    response.end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** Requests the callback with these headers, as a browser sends them. @returns the status */
function visit(url: URL, headers: Record<string, string> = {}): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = makeRequest(url, { agent: false, headers }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    request.on('error', reject)
    request.end()
  })
}

describe('a session', () => {
  it('[G1] is sent to the broker that it belongs to and to no other, and goes on when the setting is put back', async () => {
    const sandbox = await newSandbox()
    const { url } = await startBroker(sandbox)
    const { home, client, start, params, sessionId, daemon } = await newHandoff({ brokerUrl: url }, {}, sandbox)
    await comeBack(await start(), params(await sandbox.backend.sessionToken(sessionId)))
    expect((await client.call('status')).state).toBe('signed_in')
    await daemon.stop()
    const path = join(home, 'config', 'sessions', 'production.jwe')
    const before = await readFile(path, 'utf8')

    const thief = await newThief()
    const env = { CADZERO_AUTH_BROKER_URL: thief.url }
    const misled = await startDaemonProcess({ home, env })
    const other = await misled.connect()
    const wrong = {
      code: 1007,
      data: { setting: 'profiles.production.brokerUrl', expected: expect.stringContaining(url) },
    }
    await expect(other.call('getAuthHeader')).rejects.toMatchObject(wrong) // opens no browser either
    await expect(other.call('refresh')).rejects.toMatchObject(wrong)
    await expect(other.call('login', { userAsked: false, openBrowser: false })).rejects.toMatchObject(wrong)
    await misled.stop()
    expect(thief.received).toEqual([])
    expect(await readFile(path, 'utf8')).toBe(before)

    const again = await (await startDaemonProcess({ home })).connect()
    expect((await again.call('refresh')).headers.Authorization).toMatch(/^Bearer ey/)
  })

  it('[G1] is not sent to another broker at a logout, which deletes it', async () => {
    const sandbox = await newSandbox()
    const { url } = await startBroker(sandbox)
    const { home, start, params, sessionId, daemon } = await newHandoff({ brokerUrl: url }, {}, sandbox)
    await comeBack(await start(), params(await sandbox.backend.sessionToken(sessionId)))
    await daemon.stop()
    const thief = await newThief()
    await configure(home, sandbox.issuer, { brokerUrl: thief.url })
    const other = await (await startDaemonProcess({ home })).connect()
    expect(await other.call('logout')).toMatchObject({ revoked: false })
    expect(thief.received).toEqual([])
    expect(sandbox.backend.status(sessionId)).toBe('active')
  })
})

/** A proxy in front of a broker that records what passes. The broker is told that its public address is the proxy's. */
async function newTap() {
  const seen: { path: string; proof: string; answer: Record<string, unknown> }[] = []
  const state = { target: '' }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const { method, url: path = '', headers } = request
      const passed = makeRequest(new URL(path, state.target), { method, headers }, (answer) => {
        const parts: Buffer[] = []
        answer.on('data', (part) => parts.push(part))
        answer.on('end', () => {
          const body = Buffer.concat(parts)
          seen.push({ path, proof: String(headers.dpop), answer: JSON.parse(body.toString('utf8')) })
          response.writeHead(answer.statusCode ?? 500, answer.headers).end(body)
        })
      })
      passed.end(Buffer.concat(chunks))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { seen, state, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

it('[G6] a refresh token without the key of the session is worth nothing, in 1,000 attempts', {
  timeout: 120_000,
}, async () => {
  const sandbox = await newSandbox()
  const tap = await newTap()
  tap.state.target = (await startBroker(sandbox, { publicUrl: tap.url, requestsPerMinute: 100_000 })).url
  const { client, start, params, sessionId } = await newHandoff({ brokerUrl: tap.url }, {}, sandbox)
  await comeBack(await start(), params(await sandbox.backend.sessionToken(sessionId)))
  await client.call('refresh')
  const stolen = tap.seen.at(-1)?.answer.refresh_token
  const proofs = tap.seen.map(({ proof }) => proof)
  expect(proofs).toHaveLength(2)
  const thief = await newDpopKey()
  const attempt = async (n: number): Promise<number> => {
    const proof = [undefined, await thief.proof(`${tap.url}/api/auth/refresh`), ...proofs][n % 4]
    const response = await fetch(`${tap.state.target}/api/auth/${n % 9 === 0 ? 'logout' : 'refresh'}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(proof === undefined ? {} : { dpop: proof }) },
      body: JSON.stringify({ refresh_token: stolen }),
    })
    const { error } = (await response.json()) as { error?: string }
    expect(['invalid_dpop_proof', 'temporarily_unavailable']).toContain(error)
    return response.status
  }
  const statuses: number[] = []
  for (let n = 0; n < 1000; n += 20) {
    statuses.push(...(await Promise.all(Array.from({ length: 20 }, (_, at) => attempt(n + at)))))
  }
  expect(statuses.filter((status) => status === 200)).toEqual([])
  expect((await client.call('refresh')).headers.Authorization).toMatch(/^Bearer ey/) // the owner goes on
})

describe('a web page in the background', () => {
  it.each([
    ['an image', { 'sec-fetch-dest': 'image', 'sec-fetch-mode': 'no-cors', 'sec-fetch-site': 'cross-site' }],
    ['a frame', { 'sec-fetch-dest': 'iframe', 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'cross-site' }],
    ['a fetch', { 'sec-fetch-dest': 'empty', 'sec-fetch-mode': 'no-cors', 'sec-fetch-site': 'cross-site' }],
    ['a fetch with CORS', { origin: 'https://evil.example', 'sec-fetch-dest': 'empty', 'sec-fetch-mode': 'cors' }],
    ['a fetch of an older browser', { origin: 'https://evil.example' }],
    ['an object', { 'sec-fetch-dest': 'object', 'sec-fetch-mode': 'navigate' }],
  ])('[G2] signs no user in by %s, although the page of the profile returns no state', async (_name, headers) => {
    const { sandbox, client, start, params, sessionId } = await newHandoff({ requireState: false })
    const callback = await start()
    const attacker = sandbox.backend.createSession({ userId: 'user_2mallory' })
    const token = await sandbox.backend.sessionToken(attacker)
    const forged = new URL(callback)
    forged.search = new URLSearchParams({ token, session_id: attacker, user_id: 'user_2mallory' }).toString()
    expect(await visit(forged, headers)).toBe(403)
    expect(await client.call('status')).toMatchObject({ state: 'signing_in', user: null })
    expect(await comeBack(callback, params(await sandbox.backend.sessionToken(sessionId)))).toMatchObject({
      title: 'Signed in',
    })
    expect((await client.call('status')).user?.id).toBe(sandbox.user.id)
  })

  it('[G2 C1] hands over no code without the state of the sign-in, whatever the profile allows', async () => {
    const { url } = await newThief()
    const { client, start } = await newHandoff({ requireState: false, brokerUrl: url })
    const callback = await start()
    const { authorizationUrl } = await client.call('status')
    const state = String(new URL(String(authorizationUrl)).searchParams.get('state'))
    expect([callback.search, state.length]).toEqual(['', 43])
    for (const query of ['code=x', 'code=x&state=', 'code=x&state=y', 'code=x&token=y', 'state=y&token=x']) {
      const forged = new URL(callback)
      forged.search = query
      expect(await visit(forged), query).toBe(400)
    }
    expect((await client.call('status')).state).toBe('signing_in')
  })
})

it('[G3 G7] the status shows what Clerk has confirmed, and nothing that the callback claims', async () => {
  const { sandbox, client, start, params, sessionId } = await newHandoff({ requireState: false })
  const name = 'Ada \u001b]8;;https://evil.example\u0007\u202eecalevoL'
  const token = await sandbox.backend.sessionToken(sessionId, { claims: { name } })
  const claimed = { ...params(token), user_email: 'ceo@example.com', user_name: 'The Boss' }
  await comeBack(await start(), claimed)
  const { user } = await client.call('status')
  expect(user).toEqual({ id: sandbox.user.id, email: null, name: 'Ada  ]8;;https://evil.example ecalevoL' })
})

it.skipIf(!canSwitchUser)(
  `[G4] another user keeps no sign-in from completing${whySkipped}`,
  { timeout: 60_000 },
  async () => {
    const { sandbox, client, start, params, sessionId } = await newHandoff()
    const callback = await start()
    const script = `
    const net = require('node:net')
    const [host, port] = process.argv.slice(1)
    let open = 0
    const next = () => {
      const socket = net.connect(Number(port), host, () => { if (++open === 200) console.log('started') })
      socket.on('error', () => undefined).on('close', next)
    }
    for (let i = 0; i < 100; i++) next()`
    const started = ['127.0.0.1', '::1'].map(async (host) => {
      const program = startAsOtherUser(script, host, callback.port)
      await new Promise((resolve) => program.stdout?.once('data', resolve))
    })
    await Promise.all(started)
    const page = await comeBack(callback, params(await sandbox.backend.sessionToken(sessionId)))
    expect(page.title).toBe('Signed in')
    expect((await client.call('status')).state).toBe('signed_in')
  },
)
