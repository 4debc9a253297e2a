// A broker that uses the sandbox's Backend API, in this process or on a port, and the requests that a client sends to it.
import { randomBytes } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { type BrokerLogFields, type BrokerOptions, createBroker } from '../../src/broker/broker.ts'
import { type BrokerServer, type RequestTimeouts, serveBroker } from '../../src/broker/server.ts'
import { systemClock } from '../../src/host/clock.ts'
import type { Sandbox } from '../sandbox/index.ts'
import { newSandbox } from './world.ts'

export const newKey = () => randomBytes(32)

export const invalidGrant = { status: 400, body: { error: 'invalid_grant' } }

/** Paths of the Backend API, to script faults for and to count requests to. */
export const sessionPath = (sessionId: string) => `/v1/sessions/${sessionId}`
export const tokensPath = (sessionId: string) => `${sessionPath(sessionId)}/tokens`

export function brokerOptions(sandbox: Sandbox, overrides: Partial<BrokerOptions> = {}): BrokerOptions {
  const { url: apiUrl, secretKey } = sandbox.backend
  return { secretKey, apiUrl, issuers: [sandbox.issuer], keys: [newKey()], ...overrides }
}

export interface BrokerResponse {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
}

/** A broker in this process: the handler without a server. */
export function newBroker(sandbox: Sandbox, overrides: Partial<BrokerOptions> = {}) {
  const logLines: BrokerLogFields[] = []
  const options = brokerOptions(sandbox, { log: (fields) => logLines.push(fields), ...overrides })
  const broker = createBroker(options)
  const send = async (path: string, init: RequestInit): Promise<BrokerResponse> => {
    const response = await broker(new Request(`http://broker${path}`, init))
    const { status, headers } = response
    return { status, headers, body: (await response.json()) as Record<string, unknown> }
  }
  const post = (path: string, body: unknown, token?: string) => {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const headers = { 'content-type': 'application/json', ...authorization }
    return send(path, { method: 'POST', headers, body: JSON.stringify(body) })
  }
  return {
    broker,
    options,
    logLines,
    send,
    post,
    /** The first exchange: a session token for a refresh token. */
    exchange: (sessionId: string, token: string) => post('/api/auth/refresh', { session_id: sessionId }, token),
    refresh: (refreshToken: unknown) => post('/api/auth/refresh', { refresh_token: refreshToken }),
    logout: (refreshToken: unknown) => post('/api/auth/logout', { refresh_token: refreshToken }),
  }
}

/** A broker, its sandbox, and a session at Clerk. */
export async function newBrokerWorld(overrides: Partial<BrokerOptions> = {}) {
  const sandbox = await newSandbox()
  const { backend } = sandbox
  const sessionId = backend.createSession()
  const client = newBroker(sandbox, overrides)
  const newRefreshToken = async () => {
    const { body } = await client.exchange(sessionId, await backend.sessionToken(sessionId))
    return String(body.refresh_token)
  }
  return { sandbox, backend, sessionId, newRefreshToken, ...client }
}

/** A broker on a port of 127.0.0.1 until the test ends. */
export async function startBroker(
  sandbox: Sandbox,
  overrides: Partial<BrokerOptions> = {},
  timeouts?: RequestTimeouts,
): Promise<BrokerServer> {
  const options = { host: '127.0.0.1', port: 0, clock: systemClock, ...(timeouts ? { timeouts } : {}) }
  const server = await serveBroker(createBroker(brokerOptions(sandbox, overrides)), options)
  onTestFinished(() => server.close())
  return server
}
