// Serves the broker over plain HTTP by itself, for deployments that do not mount its handler in another server.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../host/clock.ts'
import { Monitor } from './monitor.ts'
import { type BrokerHandler, toNodeHandler } from './node-handler.ts'
import { localMetrics, metrics, type Operation, publicOperations } from './operations.ts'

/** How long a client may take to send its request, in seconds. Node answers 408 and closes the connection. */
export interface RequestTimeouts {
  readonly headers: number
  /** Headers and body. */
  readonly request: number
  /** Interval of Node's check of both timeouts: a connection is closed that much late at most. */
  readonly checkInterval: number
}

export interface Listener {
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
}

export interface ServeOptions extends Listener {
  readonly clock: Clock
  readonly timeouts?: RequestTimeouts
  /** Open connections; default 10,000. When there are as many, those without a request are closed. */
  readonly maxConnections?: number
  readonly monitor?: Monitor
  /** Proxies of the operator's in front of the broker; undefined: the broker learns no address. */
  readonly trustedHops?: number | undefined
  /** Serves `/metrics`; without it, they are on the port of the broker, for this computer alone. */
  readonly metricsListener?: Listener | undefined
  /** Answers `/openapi.json`. */
  readonly document?: () => object
}

export interface BrokerServer {
  readonly url: string
  /** Undefined without a listener of their own. */
  readonly metricsUrl: string | undefined
  /**
   * Stops being ready, and goes on serving for `seconds`: load balancers notice in that time. Connections are closed with
   * their next answer.
   */
  drain(seconds: number): Promise<void>
  /** Accepts no more connections and resolves when running requests are done, after ten seconds at the latest. */
  close(): Promise<void>
}

/** The broker cannot listen on an address and port. */
export class ListenError extends Error {
  /** The system's, such as `EADDRINUSE`. */
  readonly code: string

  constructor(
    cause: NodeJS.ErrnoException,
    /** Whether it is the listener of `/metrics`. */
    readonly isMetrics: boolean,
  ) {
    super(cause.message, { cause })
    this.name = 'ListenError'
    this.code = cause.code ?? ''
  }
}

export const REQUEST_TIMEOUTS: RequestTimeouts = {
  headers: 5,
  request: 10,
  checkInterval: 1, // Node's default of 30 s would let the timeouts act up to 30 s late
}
const MAX_HEADER_SIZE = 32 * 1024 // bytes; a session token may have several KiB
const MAX_CONNECTIONS = 10_000
const KEEP_ALIVE_TIMEOUT = 65 // s; longer than a load balancer's, so that the broker never closes a connection in use
const CLOSE_TIMEOUT = 10 // s; longer than a request waits for Clerk

/** @throws ListenError */
export async function serveBroker(broker: BrokerHandler, options: ServeOptions): Promise<BrokerServer> {
  const { clock, timeouts = REQUEST_TIMEOUTS, monitor = new Monitor(), metricsListener } = options
  const { maxConnections = MAX_CONNECTIONS } = options
  const handler = toNodeHandler(broker, { trustedHops: options.trustedHops })
  const operations = new Map(publicOperations(monitor, options.document ?? (() => ({}))))
  if (!metricsListener) operations.set('/metrics', localMetrics(monitor))
  const server = newServer(timeouts, maxConnections, (request, response) => {
    if (monitor.isDraining) response.setHeader('Connection', 'close')
    // After close(), a connection that becomes idle would keep the server open.
    const closeIdle = () => server.listening || setImmediate(() => server.closeIdleConnections())
    response.on('finish', closeIdle)
    request.on('close', closeIdle) // later than its answer, if the body was too large to be read
    const operation = operations.get(pathOf(request))
    if (operation) void answer(operation, request, response)
    else handler(request, response)
  })
  const url = await listen(server, options)
  const metricsServer = metricsListener && newServer(timeouts, maxConnections, metricsOnly(monitor))
  const metricsUrl =
    metricsServer &&
    (await listen(metricsServer, metricsListener, true).catch(async (error: unknown) => {
      await closeServer(server, clock)
      throw error
    }))
  return {
    url,
    metricsUrl,
    async drain(seconds) {
      monitor.drain()
      if (seconds > 0) await clock.wait(seconds)
    },
    async close() {
      monitor.drain()
      await Promise.all([server, ...(metricsServer ? [metricsServer] : [])].map((one) => closeServer(one, clock)))
    },
  }
}

function newServer(timeouts: RequestTimeouts, maxConnections: number, listener: RequestListener): Server {
  const { headers, request, checkInterval } = timeouts
  const limits = {
    maxHeaderSize: MAX_HEADER_SIZE,
    headersTimeout: headers * 1000,
    requestTimeout: request * 1000,
    connectionsCheckingInterval: checkInterval * 1000,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT * 1000,
  }
  const server = createServer(limits, listener)
  server.maxConnections = maxConnections
  keepRoom(server, maxConnections)
  return server
}

/** A stranger who keeps connections open, with a request a minute in each, must not keep others out. */
function keepRoom(server: Server, maxConnections: number): void {
  let open = 0
  // Before Node's own listener: since version 26 it counts a connection without its first request as idle.
  server.prependListener('connection', (socket) => {
    open++
    socket.once('close', () => open--)
    if (open >= maxConnections) server.closeIdleConnections()
  })
  server.on('drop', () => server.closeIdleConnections())
}

async function listen(server: Server, { host, port }: Listener, isMetrics = false): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ListenError(error, isMetrics)))
    server.listen({ host, port }, resolve)
  })
  return urlOf(server.address() as AddressInfo)
}

async function closeServer(server: Server, clock: Clock): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeIdleConnections()
  const cancel = clock.after(CLOSE_TIMEOUT, () => server.closeAllConnections())
  await closed
  cancel()
}

function metricsOnly(monitor: Monitor): RequestListener {
  const notFound: Operation = () => ({ status: 404, type: 'text/plain', text: 'not found' })
  return (request, response) =>
    void answer(pathOf(request) === '/metrics' ? () => metrics(monitor) : notFound, request, response)
}

async function answer(operation: Operation, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => undefined)
  try {
    const { status, type, text } = await operation(request)
    response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' })
    response.end(request.method === 'HEAD' ? undefined : text)
  } catch {
    response.destroy()
  }
  request.resume()
}

function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?')[0] ?? ''
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}
