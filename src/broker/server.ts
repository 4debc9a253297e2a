// Serves the broker over plain HTTP by itself, for deployments that do not mount its handler in another server.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import type { Clock } from '../host/clock.ts'
import type { Broker } from './broker.ts'

/** How long a client may take to send its request, in seconds. Node answers 408 and closes the connection. */
export interface RequestTimeouts {
  readonly headers: number
  /** Headers and body. */
  readonly request: number
  /** Interval of Node's check of both timeouts: a connection is closed that much late at most. */
  readonly checkInterval: number
}

export interface ServeOptions {
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
  readonly clock: Clock
  readonly timeouts?: RequestTimeouts
}

export interface BrokerServer {
  readonly url: string
  /** Accepts no more connections and resolves when running requests are done, after five seconds at the latest. */
  close(): Promise<void>
}

export const REQUEST_TIMEOUTS: RequestTimeouts = {
  headers: 5,
  request: 10,
  checkInterval: 1, // Node's default of 30 s would let the timeouts act up to 30 s late
}
const MAX_HEADER_SIZE = 32 * 1024 // bytes; a session token may have several KiB
const KEEP_ALIVE_TIMEOUT = 65 // s; longer than a load balancer's, so that the broker never closes a connection in use
const CLOSE_TIMEOUT = 5 // s

/** @throws a system error if the port is in use */
export async function serveBroker(broker: Broker, options: ServeOptions): Promise<BrokerServer> {
  const { host, port, clock, timeouts = REQUEST_TIMEOUTS } = options
  const limits = {
    maxHeaderSize: MAX_HEADER_SIZE,
    headersTimeout: timeouts.headers * 1000,
    requestTimeout: timeouts.request * 1000,
    connectionsCheckingInterval: timeouts.checkInterval * 1000,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT * 1000,
  }
  const server = createServer(limits, (request, response) => {
    // After close(), a connection that becomes idle would keep the server open.
    response.on('finish', () => server.listening || setImmediate(() => server.closeIdleConnections()))
    void respond(broker, request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, resolve)
  })
  return {
    url: urlOf(server.address() as AddressInfo),
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeIdleConnections()
      const cancel = clock.after(CLOSE_TIMEOUT, () => server.closeAllConnections())
      await closed
      cancel()
    },
  }
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}

async function respond(broker: Broker, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => undefined)
  if (request.url === '/healthz') {
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' }).end('ok')
    return
  }
  const { status, headers, body } = await toParts(await broker(toFetchRequest(request)))
  response.writeHead(status, headers).end(body)
  request.resume() // drain a body that the broker did not read, so that it does not block the response
}

async function toParts(response: Response) {
  const headers = Object.fromEntries(response.headers)
  return { status: response.status, headers, body: Buffer.from(await response.arrayBuffer()) }
}

function toFetchRequest(request: IncomingMessage): Request {
  const { url = '/', headers } = request
  const method = FETCH_METHOD.test(request.method ?? '') ? request.method : 'GET'
  const forwarded = new Headers()
  for (const name of ['content-type', 'authorization'] as const) {
    if (headers[name] !== undefined) forwarded.set(name, headers[name])
  }
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const body = hasBody ? { body: Readable.toWeb(request) as ReadableStream, duplex: 'half' } : {}
  // The handler reads only the path, so the host is a constant and the client's Host header has no effect.
  const target = new URL(url.startsWith('/') ? `http://broker${url}` : 'http://broker/')
  return new Request(target, { method, headers: forwarded, ...body } as RequestInit)
}

const FETCH_METHOD = /^(?!CONNECT$|TRACE$|TRACK$)[A-Z]+$/i // the methods that the Request constructor accepts
