// The faults of a broker, to sessions of the hand-off: none but invalid_grant ever ends one, and nobody becomes another.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { toRpcError } from '../../src/daemon/handlers.ts'
import type { Fault } from '../sandbox/faults.ts'
import { headerInMemory } from '../support/authenticator.ts'
import { newClerkAuthenticator } from '../support/clerk-authenticator.ts'
import { PAGE } from '../support/handoff.ts'
import { newSandbox } from '../support/world.ts'

const LIFETIME = 10_000_000 // s; longer than all the waiting in here
const PAST_ANY_BACKOFF = 400
const PAST_OUR_DEADLINE = 10.5
const JSON_TYPE = { 'content-type': 'application/json' }

type Means = 'network' | 'server' | 'rate_limited' | 'rejected' | 'good' | 'revoked'
type Change = (good: Record<string, unknown>) => unknown

const text = (status: number, body: string, headers = {}): Fault => ({ kind: 'answer', status, headers, body })
const error = (status: number, code: unknown, headers = {}) =>
  text(status, JSON.stringify({ error: code, error_description: 'canary' }), { ...JSON_TYPE, ...headers })

const FAULTS: readonly [string, Fault | Change, Means, ('request' | 'headers')?][] = [
  ['drops the connection', { kind: 'drop' }, 'network'],
  ['never answers', { kind: 'hang' }, 'network', 'request'],
  ['stalls after the headers', { kind: 'headersOnly' }, 'network', 'headers'],
  ['speaks no HTTP', { kind: 'raw', bytes: 'hello\r\n', ends: true }, 'network'],
  ['ends in the headers', { kind: 'raw', bytes: 'HTTP/1.1 200 OK\r\na:', ends: true }, 'network'],
  ['answers two megabytes', text(200, `"${'x'.repeat(2 ** 21)}"`, JSON_TYPE), 'network'],
  ...[400, 401, 403, 404, 408, 500, 502, 503, 504].map((status): [string, Fault, Means] => [
    `says ${status} in HTML`,
    text(status, '<h1>invalid_grant'),
    'server',
  ]),
  ...[200, 307, 500, 503].map((status): [string, Fault, Means] => [
    `says ${status} with invalid_grant in it`,
    error(status, 'invalid_grant', { location: '/elsewhere' }),
    'server',
  ]),
  ['says 429 with invalid_grant in it', error(429, 'invalid_grant', { 'retry-after': '9' }), 'rate_limited'],
  ['says 503 temporarily_unavailable', error(503, 'temporarily_unavailable', { 'retry-after': '9' }), 'server'],
  ['says 400 and a list', error(400, ['invalid_grant']), 'server'],
  ['says invalid_client', error(401, 'invalid_client'), 'rejected'],
  ['says invalid_request', error(400, 'invalid_request'), 'rejected'],
  ['says 200 in HTML', text(200, '<html>Sign in to the Wi-Fi</html>'), 'server'],
  ['says 200 and nothing', text(200, ''), 'server'],
  ['says 200 and half a JSON', text(200, '{"token":"a.b', JSON_TYPE), 'server'],
  ['says 200 and null', text(200, 'null', JSON_TYPE), 'server'],
  ['gives no token', ({ token: _, ...rest }) => rest, 'server'],
  ['gives a token that is a number', (good) => ({ ...good, token: 5 }), 'server'],
  ['gives a token with a line break', (good) => ({ ...good, token: `${String(good.token)}\r\nX: y` }), 'server'],
  ['gives a token that is no JWT', (good) => ({ ...good, token: 'opaque' }), 'server'],
  ['gives no refresh token', ({ refresh_token: _, ...rest }) => rest, 'server'],
  ['gives a refresh token that is empty', (good) => ({ ...good, refresh_token: '' }), 'server'],
  ...['60', -1, 0, null, {}].map((value): [string, Change, Means] => [
    `gives the lifetime ${JSON.stringify(value)}`,
    (good) => ({ ...good, expires_in: value }),
    'server',
  ]),
  ['gives the lifetime 1e12', (good) => ({ ...good, expires_in: 1e12 }), 'good'],
  ['gives another session', (good) => ({ ...good, session_id: 'sess_other' }), 'server'],
  [
    'gives another person’s token',
    (good) => ({ ...good, token: `e30.${Buffer.from('{"sub":"user_other"}').toString('base64url')}.x` }),
    'server',
  ],
  ['says more than is asked', (good) => ({ ...good, surprise: [[{}]] }), 'good'],
  ['knows no end of the session', ({ session_expires_at: _, ...rest }) => rest, 'good'],
  ['says 400 invalid_grant', error(400, 'invalid_grant'), 'revoked'],
  ['says 401 invalid_grant', error(401, 'invalid_grant'), 'revoked'],
]

/** A broker that plays one fault, and is good otherwise. */
async function newBroker(good: () => Record<string, unknown>) {
  const next: (Fault | Change)[] = []
  const heard: Record<string, unknown>[] = []
  let arrived: () => void = () => undefined
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    heard.push({ path: request.url, ...JSON.parse(Buffer.concat(chunks).toString()) })
    const fault = next.shift() ?? (() => good())
    arrived()
    if (typeof fault === 'function') {
      response.writeHead(200, JSON_TYPE).end(JSON.stringify(fault(good())))
    } else if (fault.kind === 'answer') {
      response.writeHead(fault.status, fault.headers).end(fault.body)
    } else if (fault.kind === 'raw') {
      response.socket?.end(fault.bytes)
    } else if (fault.kind === 'drop') {
      response.destroy()
    } else if (fault.kind === 'headersOnly') {
      response.writeHead(200, { ...JSON_TYPE, 'content-length': 100 }).flushHeaders()
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    next,
    heard,
    nextRequest: () =>
      new Promise<void>((resolve) => {
        arrived = resolve
      }),
  }
}

async function newWorld() {
  const sandbox = await newSandbox()
  const { backend, issuer, user } = sandbox
  const sessionId = backend.createSession()
  const token = await backend.sessionToken(sessionId)
  let issued = 0
  const broker = await newBroker(() => ({
    token,
    expires_in: LIFETIME,
    session_id: sessionId,
    refresh_token: `sealed-${++issued}`,
    session_expires_at: null,
  }))
  const production = { issuer, signInUrl: PAGE, redirectPort: 0, brokerUrl: broker.url }
  const clerk = await newClerkAuthenticator({}, { profiles: { production } })
  const signIn = async () => {
    const { id, email, name } = user
    const handed = { token: await backend.sessionToken(sessionId), sessionId, user: { id, email, name } }
    clerk.clock.advance(Date.now() / 1000 - clerk.clock.now()) // a session token lives a minute of the real time
    expect(await clerk.authenticator.importSession(handed)).toBe('session')
  }
  return { ...clerk, broker, sandbox, signIn }
}

describe('a broker with some fifty faults', () => {
  it.each(['live', 'dead'] as const)('ends no session whose token is %s, but by invalid_grant', async (state) => {
    for (const [name, fault, means, slow] of FAULTS.filter(([, , means]) => means === 'revoked')) {
      const world = await newWorld()
      await world.signIn()
      await play(world, state, name, fault, means, slow)
    }
    const world = await newWorld()
    await world.signIn()
    for (const [name, fault, means, slow] of FAULTS.filter(([, , means]) => means !== 'revoked')) {
      await play(world, state, name, fault, means, slow)
    }
    world.clock.advance(PAST_ANY_BACKOFF)
    await world.authenticator.refresh()
    expect(world.authenticator.status()).toMatchObject({ state: 'signed_in', user: { id: world.sandbox.user.id } })
    // The token of the hand-off proved the session once; all else was proved by what the broker had sealed.
    expect(world.broker.heard.filter((body) => body.path !== '/api/auth/refresh')).toEqual([])
  })
})

async function play(
  { authenticator, clock, broker }: Awaited<ReturnType<typeof newWorld>>,
  state: 'live' | 'dead',
  name: string,
  fault: Fault | Change,
  means: Means,
  slow?: 'request' | 'headers',
): Promise<void> {
  clock.advance(PAST_ANY_BACKOFF)
  if (state === 'live' && !headerInMemory(authenticator)) await authenticator.refresh()
  if (state === 'dead' && headerInMemory(authenticator)) clock.advance(LIFETIME + 1)
  if (state === 'dead' && headerInMemory(authenticator)) clock.advance(1e12)
  const before = headerInMemory(authenticator)
  const asked = broker.heard.length
  broker.next.push(fault)
  const arrived = broker.nextRequest()
  const answer = (state === 'live' ? authenticator.refresh() : authenticator.authHeader(10, false)).catch(toRpcError)
  if (slow) {
    await arrived
    clock.advance(PAST_OUR_DEADLINE)
  }
  const got = await answer
  expect(got, name).toMatchObject(expectedOf(means))
  expect(JSON.stringify(got), name).not.toContain('canary')
  expect(authenticator.status().state, name).toBe(means === 'revoked' ? 'signed_out' : 'signed_in')
  expect(broker.heard.length - asked, name).toBe(1)
  if (state === 'live' && means !== 'good' && means !== 'revoked') {
    expect(headerInMemory(authenticator), name).toBe(before)
  }
}

function expectedOf(means: Means): object {
  if (means === 'good') return { headers: { Authorization: expect.stringMatching(/^Bearer /) } }
  if (means === 'revoked') return { code: 1001, data: { reason: 'session_revoked' } }
  if (means === 'rejected') return { code: 1004 }
  return { code: 1003, data: { reason: means, retryAfterSeconds: expect.any(Number) } }
}
