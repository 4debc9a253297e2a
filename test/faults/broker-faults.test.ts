// About fifty faults of a broker: only invalid_grant ends a hand-off session, and no answer changes its user.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { toRpcError } from '../../src/daemon/handlers.ts'
import type { Fault } from '../sandbox/faults.ts'
import { headerInMemory } from '../support/authenticator.ts'
import { newClerkAuthenticator } from '../support/clerk-authenticator.ts'
import { PAGE } from '../support/handoff.ts'
import { LONG_LIFETIME, PAST_BACKOFF, PAST_TIMEOUT } from '../support/provider-faults.ts'
import { newSandbox } from '../support/world.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

type BrokerBody = Record<string, unknown>
type Effect = 'network' | 'server' | 'rate_limited' | 'rejected' | 'refreshed' | 'ended'

interface Row {
  /** A verb phrase with the broker as its subject. */
  readonly name: string
  /** A fault of the connection, or a change to the right answer. */
  readonly fault: Fault | ((answer: BrokerBody) => unknown)
  /** The effect on a refresh: the error's reason while the session is kept, a new token, or the end of the session. */
  readonly effect: Effect
  /** The answer never ends, so the timeout must act. */
  readonly stalls?: true
}

const row = (name: string, fault: Row['fault'], effect: Effect): Row => ({ name, fault, effect })
const text = (status: number, body: string, headers = {}): Fault => ({ kind: 'respond', status, headers, body })
const error = (status: number, code: unknown, headers = {}) =>
  text(status, JSON.stringify({ error: code, error_description: 'canary' }), { ...JSON_TYPE, ...headers })
const raw = (bytes: string): Fault => ({ kind: 'raw', bytes, ends: true })
const without = (name: string) => (answer: BrokerBody) =>
  Object.fromEntries(Object.entries(answer).filter(([member]) => member !== name))
const withMember = (name: string, value: unknown) => (answer: BrokerBody) => ({ ...answer, [name]: value })
const tokenOf = (subject: string) => `e30.${Buffer.from(JSON.stringify({ sub: subject })).toString('base64url')}.x`

const rows: readonly Row[] = [
  row('drops the connection', { kind: 'drop' }, 'network'),
  { ...row('never answers', { kind: 'hang' }, 'network'), stalls: true },
  { ...row('stalls after the headers', { kind: 'headersOnly' }, 'network'), stalls: true },
  row('does not speak HTTP', raw('hello\r\n'), 'network'),
  row('ends in the headers', raw('HTTP/1.1 200 OK\r\na:'), 'network'),
  row('answers with two megabytes', text(200, `"${'x'.repeat(2 ** 21)}"`, JSON_TYPE), 'network'),
  ...[400, 401, 403, 404, 408, 500, 502, 503, 504].map((status) =>
    row(`answers ${status} in HTML`, text(status, '<h1>invalid_grant'), 'server'),
  ),
  ...[200, 307, 500, 503].map((status) =>
    row(
      `answers ${status} with invalid_grant in its body`,
      error(status, 'invalid_grant', { location: '/elsewhere' }),
      'server',
    ),
  ),
  row(
    'answers 429 with invalid_grant in its body',
    error(429, 'invalid_grant', { 'retry-after': '9' }),
    'rate_limited',
  ),
  row('answers 503 temporarily_unavailable', error(503, 'temporarily_unavailable', { 'retry-after': '9' }), 'server'),
  row('answers 400 with an array as error code', error(400, ['invalid_grant']), 'server'),
  row('answers invalid_client', error(401, 'invalid_client'), 'rejected'),
  row('answers invalid_request', error(400, 'invalid_request'), 'rejected'),
  row('answers 200 in HTML', text(200, '<html>Sign in to the Wi-Fi</html>'), 'server'),
  row('answers 200 with an empty body', text(200, ''), 'server'),
  row('answers 200 with a truncated JSON text', text(200, '{"token":"a.b', JSON_TYPE), 'server'),
  row('answers 200 with null', text(200, 'null', JSON_TYPE), 'server'),
  row('sends no token', without('token'), 'server'),
  row('sends a token that is a number', withMember('token', 5), 'server'),
  row(
    'sends a token with a line break',
    (answer) => ({ ...answer, token: `${String(answer.token)}\r\nX: y` }),
    'server',
  ),
  row('sends a token that is not a JWT', withMember('token', 'opaque'), 'server'),
  row('sends no refresh token', without('refresh_token'), 'server'),
  row('sends an empty refresh token', withMember('refresh_token', ''), 'server'),
  ...['60', -1, 0, null, {}].map((value) =>
    row(`sends the lifetime ${JSON.stringify(value)}`, withMember('expires_in', value), 'server'),
  ),
  row('sends the lifetime 1e12', withMember('expires_in', 1e12), 'refreshed'),
  row('sends the id of another session', withMember('session_id', 'sess_other'), 'server'),
  row('sends the token of another user', withMember('token', tokenOf('user_other')), 'server'),
  row('sends unknown members', withMember('surprise', [[{}]]), 'refreshed'),
  row('sends no session_expires_at', without('session_expires_at'), 'refreshed'),
  row('answers 400 invalid_grant', error(400, 'invalid_grant'), 'ended'),
  row('answers 401 invalid_grant', error(401, 'invalid_grant'), 'ended'),
]

/** A broker that plays scripted faults, one for each request, and otherwise sends the right answer. */
async function newScriptedBroker(rightAnswer: () => BrokerBody) {
  const script: Row['fault'][] = []
  const requests: BrokerBody[] = []
  let arrived: () => void = () => undefined
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    requests.push({ path: request.url, ...JSON.parse(Buffer.concat(chunks).toString()) })
    const fault = script.shift() ?? ((answer: BrokerBody) => answer)
    arrived()
    if (typeof fault === 'function') {
      response.writeHead(200, JSON_TYPE).end(JSON.stringify(fault(rightAnswer())))
    } else if (fault.kind === 'respond') {
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
    script,
    requests,
    nextRequest: () =>
      new Promise<void>((resolve) => {
        arrived = resolve
      }),
  }
}

/** A hand-off session whose broker plays faults. */
async function newWorld() {
  const sandbox = await newSandbox()
  const { backend, issuer, user } = sandbox
  const sessionId = backend.createSession()
  const token = await backend.sessionToken(sessionId)
  let issued = 0
  const broker = await newScriptedBroker(() => ({
    token,
    expires_in: LONG_LIFETIME,
    session_id: sessionId,
    refresh_token: `refresh-token-${++issued}`,
    session_expires_at: null,
  }))
  const production = { issuer, signInUrl: PAGE, redirectPort: 0, brokerUrl: broker.url }
  const clerk = await newClerkAuthenticator({}, { profiles: { production } })
  const { id, email, name } = user
  const handoff = { token: await backend.sessionToken(sessionId), sessionId, user: { id, email, name } }
  clerk.clock.advance(Date.now() / 1000 - clerk.clock.now()) // the session token is valid for a minute of real time
  expect(await clerk.authenticator.importSession(handoff)).toBe('session')
  return { ...clerk, broker, sandbox }
}

type World = Awaited<ReturnType<typeof newWorld>>
type AccessToken = 'valid' | 'expired'

/** Plays a row to a refresh, and checks the answer and the session. */
async function checkRefresh(world: World, { name, fault, effect, stalls }: Row, accessToken: AccessToken) {
  const { authenticator, clock, broker } = world
  clock.advance(PAST_BACKOFF)
  if (accessToken === 'valid' && !headerInMemory(authenticator)) await authenticator.refresh()
  if (accessToken === 'expired' && headerInMemory(authenticator)) clock.advance(LONG_LIFETIME + 1)
  if (accessToken === 'expired' && headerInMemory(authenticator)) clock.advance(1e12)
  const before = headerInMemory(authenticator)
  const requestsBefore = broker.requests.length
  broker.script.push(fault)
  const arrived = broker.nextRequest()
  const call = accessToken === 'valid' ? authenticator.refresh() : authenticator.authHeader(10, false)
  const outcome = call.catch(toRpcError)
  if (stalls) {
    await arrived
    clock.advance(PAST_TIMEOUT)
  }
  const answer = await outcome
  expect(answer, name).toMatchObject(expectedAnswer(effect))
  expect(JSON.stringify(answer), name).not.toContain('canary')
  expect(authenticator.status().state, name).toBe(effect === 'ended' ? 'signed_out' : 'signed_in')
  expect(broker.requests.length - requestsBefore, name).toBe(1)
  if (accessToken === 'valid' && effect !== 'refreshed' && effect !== 'ended') {
    expect(headerInMemory(authenticator), name).toBe(before)
  }
}

function expectedAnswer(effect: Effect): object {
  if (effect === 'refreshed') return { headers: { Authorization: expect.stringMatching(/^Bearer /) } }
  if (effect === 'ended') return { code: 1001, data: { reason: 'session_revoked' } }
  if (effect === 'rejected') return { code: 1004 }
  return { code: 1003, data: { reason: effect, retryAfterSeconds: expect.any(Number) } }
}

describe('a hand-off session behind a faulty broker', () => {
  const ending = rows.filter(({ effect }) => effect === 'ended')
  it.each(ending.map((row) => [row.name, row] as const))('ends if the broker %s', async (_name, row) => {
    for (const accessToken of ['valid', 'expired'] as const) await checkRefresh(await newWorld(), row, accessToken)
  })

  it.each(['valid', 'expired'] as const)('survives every other answer while its token is %s', async (accessToken) => {
    const world = await newWorld()
    for (const row of rows.filter(({ effect }) => effect !== 'ended')) await checkRefresh(world, row, accessToken)
    world.clock.advance(PAST_BACKOFF)
    await world.authenticator.refresh()
    expect(world.authenticator.status()).toMatchObject({ state: 'signed_in', user: { id: world.sandbox.user.id } })
    expect(world.broker.requests.filter(({ path }) => path !== '/api/auth/refresh')).toEqual([])
  })
})
