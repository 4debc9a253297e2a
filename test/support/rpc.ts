// An RPC server of its own for one test, with methods that the test chooses, and ways to reach it.
import { randomBytes } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { systemClock } from '../../src/host/clock.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connectTo, type RpcClient } from '../../src/rpc/client.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { authorization, SUBPROTOCOL } from '../../src/rpc/handshake.ts'
import { RpcServer, type RpcServerOptions } from '../../src/rpc/server.ts'

export interface TestServer {
  readonly server: RpcServer
  readonly endpoint: Endpoint
  connect(): Promise<RpcClient>
}

export async function startServer(options: Partial<RpcServerOptions> = {}): Promise<TestServer> {
  const server = await RpcServer.listen({ methods: {}, clock: systemClock, port: 0, ...options })
  const endpoint: Endpoint = {
    version: 1,
    pid: process.pid,
    endpoint: `127.0.0.1:${server.port}`,
    path: '/rpc',
    instance: randomBytes(16).toString('base64url'),
    key: randomBytes(32).toString('base64url'),
    startedAt: new Date().toISOString(),
    daemonVersion: '0.0.0',
  }
  server.setEndpoint(endpoint)
  onTestFinished(() => server.close())
  return {
    server,
    endpoint,
    async connect() {
      const client = await connectTo(endpoint, systemRandom)
      onTestFinished(() => client.close())
      return client
    },
  }
}

export interface UpgradeRequest {
  requestLine: string
  /** Name and value, in order. */
  headers: [string, string][]
}

/** A right upgrade request, to be spoilt by a test. */
export function upgradeRequest(endpoint: Endpoint): UpgradeRequest {
  return {
    requestLine: `GET ${endpoint.path} HTTP/1.1`,
    headers: [
      ['Host', endpoint.endpoint],
      ['Upgrade', 'websocket'],
      ['Connection', 'Upgrade'],
      ['Sec-WebSocket-Version', '13'],
      ['Sec-WebSocket-Key', randomBytes(16).toString('base64')],
      ['Sec-WebSocket-Protocol', SUBPROTOCOL],
      ['Authorization', authorization(endpoint, systemRandom).value],
    ],
  }
}

export function bytesOf({ requestLine, headers }: UpgradeRequest): string {
  return `${[requestLine, ...headers.map(([name, value]) => `${name}: ${value}`)].join('\r\n')}\r\n\r\n`
}
