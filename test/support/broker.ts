// A broker that uses the sandbox's Backend API, in this process or on a port, and the requests that a client sends to it.
import { createHash, randomBytes } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { type Broker, type BrokerLogFields, type BrokerOptions, createBroker } from '../../src/broker/broker.ts'
import { type BrokerServer, type RequestTimeouts, serveBroker } from '../../src/broker/server.ts'
import { systemClock } from '../../src/host/clock.ts'
import { PAGE_ORIGIN } from '../sandbox/backend.ts'
import type { Sandbox } from '../sandbox/index.ts'
import { type DpopKey, newDpopKey } from './dpop.ts'
import { newSandbox } from './world.ts'

export { PAGE_ORIGIN }

export const newKey = () => randomBytes(32)

export const invalidGrant = { status: 400, body: { error: 'invalid_grant' } }
export const invalidProof = { status: 400, body: { error: 'invalid_dpop_proof' } }

/** Paths of the Backend API, to script faults for and to count requests to. */
export const sessionPath = (sessionId: string) => `/v1/sessions/${sessionId}`
export const tokensPath = (sessionId: string) => `${sessionPath(sessionId)}/tokens`

export const PUBLIC_URL = 'https://api.example.com'
export const REDIRECT_URI = 'http://localhost:8765/?state=abcdefgh'

export function brokerOptions(sandbox: Sandbox, overrides: Partial<BrokerOptions> = {}): BrokerOptions {
  const { url: apiUrl, secretKey } = sandbox.backend
  return {
    secretKey,
    apiUrl,
    issuers: [sandbox.issuer],
    keys: [newKey()],
    publicUrl: PUBLIC_URL,
    authorizedParties: [PAGE_ORIGIN],
    clerkRequestsIn10Seconds: 100_000, // a test sends a day's requests in seconds
    ...overrides,
  }
}

export interface BrokerResponse {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
}

export interface PostOptions {
  /** The session token in the header Authorization. */
  readonly token?: string
  /** The proof; by default one of the client's own key. Null sends none. */
  readonly dpop?: string | null
  readonly headers?: Readonly<Record<string, string>>
}

/** A code verifier and its challenge (RFC 7636). */
export function newPkce(codeVerifier = randomBytes(32).toString('base64url')) {
  return { codeVerifier, codeChallenge: createHash('sha256').update(codeVerifier).digest('base64url') }
}

/** A broker in this process: the handler without a server. Its client signs each request with `key`. */
export function newBroker(sandbox: Sandbox, overrides: Partial<BrokerOptions> = {}, key = newDpopKey()) {
  const logLines: BrokerLogFields[] = []
  const options = brokerOptions(sandbox, { log: (fields) => logLines.push(fields), ...overrides })
  const broker = createBroker(options)
  onTestFinished(() => broker.close())
  const client = newBrokerClient((request) => broker(request), options, key)
  return { broker, options, logLines, ...client }
}

type Handle = (request: Request) => Promise<Response>

export function newBrokerClient(
  handle: Handle,
  { publicUrl, clock = systemClock }: Pick<BrokerOptions, 'publicUrl' | 'clock'>,
  key: Promise<DpopKey>,
) {
  const send = async (path: string, init: RequestInit): Promise<BrokerResponse> => {
    const response = await handle(new Request(`${publicUrl}${path}`, init))
    const { status, headers } = response
    return { status, headers, body: (await response.json()) as Record<string, unknown> }
  }
  const post = async (path: string, body: unknown, { token, dpop, headers = {} }: PostOptions = {}) => {
    const proof = dpop === undefined ? await (await key).proof(`${publicUrl}${path}`, { now: clock.now() }) : dpop
    const sent = {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(proof === null ? {} : { dpop: proof }),
      ...headers,
    }
    return await send(path, { method: 'POST', headers: sent, body: JSON.stringify(body) })
  }
  return {
    send,
    post,
    /** What the page does: a session token for a code. */
    authorize: (sessionId: string, token: string, over: object = {}, headers: Record<string, string> = {}) => {
      const challenge = { code_challenge: newPkce().codeChallenge, code_challenge_method: 'S256' }
      const body = { session_id: sessionId, ...challenge, redirect_uri: REDIRECT_URI, ...over }
      return post('/api/auth/code', body, { token, dpop: null, headers: { origin: PAGE_ORIGIN, ...headers } })
    },
    /** What the daemon does: a code for the first tokens. */
    redeem: (code: unknown, codeVerifier: string, options?: PostOptions) =>
      post('/api/auth/token', { code, code_verifier: codeVerifier, redirect_uri: REDIRECT_URI }, options),
    /** The first exchange without a code: a session token for the first tokens. */
    exchange: (sessionId: string, token: string, options?: PostOptions) =>
      post('/api/auth/refresh', { session_id: sessionId }, { token, ...options }),
    refresh: (refreshToken: unknown, options?: PostOptions) =>
      post('/api/auth/refresh', { refresh_token: refreshToken }, options),
    logout: (refreshToken: unknown, options?: PostOptions) =>
      post('/api/auth/logout', { refresh_token: refreshToken }, options),
  }
}

/**
 * A broker, its sandbox, and a session at Clerk.
 * @param now what Clerk's answers state as their time, in Unix seconds; by default that of the broker's clock
 */
export async function newBrokerWorld(overrides: Partial<BrokerOptions> = {}, now = overrides.clock?.now) {
  const sandbox = await newSandbox(now ? { now: () => now.call(overrides.clock) } : {})
  const { backend } = sandbox
  const sessionId = backend.createSession()
  const key = newDpopKey()
  const client = newBroker(sandbox, overrides, key)
  const newRefreshToken = async () => {
    const { body } = await client.exchange(sessionId, await backend.sessionToken(sessionId))
    return String(body.refresh_token)
  }
  /** A code, and the verifier that redeems it. */
  const newCode = async () => {
    const { codeVerifier, codeChallenge } = newPkce()
    const token = await backend.sessionToken(sessionId)
    const { body } = await client.authorize(sessionId, token, { code_challenge: codeChallenge })
    return { code: String(body.code), codeVerifier }
  }
  return { sandbox, backend, sessionId, key, newRefreshToken, newCode, ...client }
}

/**
 * A broker on a port of 127.0.0.1 until the test ends. It also takes session tokens without a proof, as old daemons send them.
 */
export async function startBroker(
  sandbox: Sandbox,
  overrides: Partial<BrokerOptions> = {},
  timeouts?: RequestTimeouts,
): Promise<BrokerServer> {
  let broker: Broker | undefined
  const options = { host: '127.0.0.1', port: 0, clock: systemClock, ...(timeouts ? { timeouts } : {}) }
  const server = await serveBroker((request) => (broker as Broker)(request), options)
  broker = createBroker(brokerOptions(sandbox, { publicUrl: server.url, sessionTokens: 'unbound', ...overrides }))
  onTestFinished(async () => {
    broker?.close()
    await server.close()
  })
  return server
}
