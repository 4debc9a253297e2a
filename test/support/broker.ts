// A broker on the sandbox's Clerk, and what a client of it says.
import { randomBytes } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { type BrokerLogFields, type BrokerOptions, createBroker } from '../../src/broker/broker.ts'
import { type BrokerServer, serveBroker } from '../../src/broker/server.ts'
import { systemClock } from '../../src/host/clock.ts'
import type { Sandbox } from '../sandbox/index.ts'

export const newKey = () => randomBytes(32)

export function brokerOptions(sandbox: Sandbox, over: Partial<BrokerOptions> = {}): BrokerOptions {
  const { url: apiUrl, secretKey } = sandbox.backend
  return { secretKey, apiUrl, issuers: [sandbox.issuer], keys: [newKey()], ...over }
}

export interface BrokerAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
}

/** A broker in this process: the handler alone, without a server. */
export function newBroker(sandbox: Sandbox, over: Partial<BrokerOptions> = {}) {
  const lines: BrokerLogFields[] = []
  const options = brokerOptions(sandbox, { log: (fields) => lines.push(fields), ...over })
  const broker = createBroker(options)
  const send = async (path: string, init: RequestInit): Promise<BrokerAnswer> => {
    const response = await broker(new Request(`http://broker${path}`, init))
    const { status, headers } = response
    return { status, headers, body: (await response.json()) as Record<string, unknown> }
  }
  const post = (path: string, body: unknown, token?: string) =>
    send(path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  return {
    broker,
    options,
    lines,
    send,
    post,
    first: (sessionId: string, token: string) => post('/api/auth/refresh', { session_id: sessionId }, token),
    refresh: (refreshToken: unknown) => post('/api/auth/refresh', { refresh_token: refreshToken }),
    logout: (refreshToken: unknown) => post('/api/auth/logout', { refresh_token: refreshToken }),
  }
}

/** A broker on a port, for as long as the test. */
export async function startBroker(sandbox: Sandbox, over: Partial<BrokerOptions> = {}): Promise<BrokerServer> {
  const server = await serveBroker(createBroker(brokerOptions(sandbox, over)), '127.0.0.1', 0, systemClock)
  onTestFinished(() => server.close())
  return server
}
