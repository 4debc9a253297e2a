// The broker by itself: a small HTTP server around the handler, for where no other server mounts it.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import type { Clock } from '../host/clock.ts'
import type { Broker } from './broker.ts'

export interface BrokerServer {
  readonly url: string
  /** Takes no more connections; requests that run have five seconds. */
  close(): Promise<void>
}

const FINISH_SECONDS = 5
const LIMITS = {
  maxHeaderSize: 32 * 1024, // a session token may be some KiB
  headersTimeout: 5000,
  requestTimeout: 10_000,
  keepAliveTimeout: 65_000, // longer than a balancer's, so that it is never the broker that hangs up first
}

/** @throws a system error where the port is taken */
export async function serveBroker(broker: Broker, host: string, port: number, clock: Clock): Promise<BrokerServer> {
  const server = createServer(LIMITS, (request, response) => {
    // A connection that falls idle after `close` would be waited for.
    response.on('finish', () => server.listening || setImmediate(() => server.closeIdleConnections()))
    void answer(broker, request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, resolve)
  })
  const address = server.address() as AddressInfo
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `http://${name}:${address.port}`,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeIdleConnections()
      const cancel = clock.after(FINISH_SECONDS, () => server.closeAllConnections())
      await closed
      cancel()
    },
  }
}

async function answer(broker: Broker, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => undefined)
  if (request.url === '/healthz') {
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' }).end('ok')
    return
  }
  const given = await broker(toRequest(request))
  response.writeHead(given.status, Object.fromEntries(given.headers))
  response.end(Buffer.from(await given.arrayBuffer()))
  request.resume() // what was too much is not read, but must not stop the answer
}

function toRequest(request: IncomingMessage): Request {
  const { url = '/', headers } = request
  const method = TOKEN.test(request.method ?? '') ? request.method : 'GET'
  const passed = new Headers()
  for (const name of ['content-type', 'authorization'] as const) {
    if (headers[name] !== undefined) passed.set(name, headers[name])
  }
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const body = hasBody ? { body: Readable.toWeb(request) as ReadableStream, duplex: 'half' } : {}
  // Host and scheme are nobody's business here: the handler looks at the path alone.
  const target = new URL(url.startsWith('/') ? `http://broker${url}` : 'http://broker/')
  return new Request(target, { method, headers: passed, ...body } as RequestInit)
}

const TOKEN = /^(?!CONNECT$|TRACE$|TRACK$)[A-Z]+$/i // the methods that a Request may have
