// Starts an RPC server for one test with the methods of the test, and reaches it as a client, a socket or raw bytes.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import * as v from 'valibot'
import { onTestFinished } from 'vitest'
import WebSocket from 'ws'
import { systemClock } from '../../src/host/clock.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connectTo, type RpcClient } from '../../src/rpc/client.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { authorization, SUBPROTOCOL } from '../../src/rpc/handshake.ts'
import { RpcServer, type RpcServerOptions } from '../../src/rpc/server.ts'

/** The answer to every request that is no valid upgrade. */
export const FORBIDDEN = 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

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

/** A WebSocket that has proven itself, without a client on it. */
export async function openSocket(endpoint: Endpoint, options: WebSocket.ClientOptions = {}): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${endpoint.endpoint}${endpoint.path}`, [SUBPROTOCOL], {
    ...options,
    headers: { Authorization: authorization(endpoint, systemRandom).value },
  })
  await once(socket, 'open')
  onTestFinished(() => socket.terminate())
  return socket
}

const END = 'end-of-the-responses'

export interface MessageSocket {
  readonly server: RpcServer
  readonly socket: WebSocket
  /** Sends a message and returns the responses to it: all that arrive before the response to a later call. */
  ask(message: unknown): Promise<unknown[]>
}

/** A server and a socket on which a test sends any message. */
export async function startMessages(options: Partial<RpcServerOptions> = {}): Promise<MessageSocket> {
  const methods = { ...options.methods, [END]: { params: v.any(), handle: () => 'end' } }
  const { endpoint, server } = await startServer({ ...options, methods })
  const socket = await openSocket(endpoint)
  const received: string[] = []
  socket.on('message', (data) => received.push(String(data)))
  const ask = async (message: unknown): Promise<unknown[]> => {
    socket.send(typeof message === 'string' ? message : JSON.stringify(message))
    socket.send(JSON.stringify({ jsonrpc: '2.0', method: END, id: END }))
    while (!received.some((text) => text.includes(END))) await once(socket, 'message')
    return received
      .splice(0)
      .filter((text) => !text.includes(END))
      .map((text) => JSON.parse(text))
  }
  return { server, socket, ask }
}

export interface UpgradeRequest {
  requestLine: string
  /** Name and value, in order. */
  headers: [string, string][]
}

/** A valid upgrade request, for a test to change. */
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
