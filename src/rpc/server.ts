// The daemon's door: a loopback HTTP server that does nothing but upgrade genuine clients to JSON-RPC over WebSocket.
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { createJSONRPCErrorResponse, type JSONRPCErrorResponse, type JSONRPCID, JSONRPCServer } from 'json-rpc-2.0'
import type { GenericSchema } from 'valibot'
import { WebSocketServer } from 'ws'
import type { CancelTimer, Clock } from '../host/clock.ts'
import { Connection, type Dispatcher, LIMITS } from './connection.ts'
import { errors, INTERNAL_ERROR, parseParams, RpcError } from './contract.ts'
import type { Endpoint } from './discovery.ts'
import { createGuard, type Refusal, type Verdict } from './guard.ts'
import { PROOF_HEADER } from './handshake.ts'

export interface Method {
  readonly params: GenericSchema
  /** Gets params that fit the schema. An RpcError goes to the client; anything else is an internal error. */
  handle(params: never): unknown
  /** The result, where it is in memory or on its way; else undefined (or it throws, or rejects), and `handle` is called. */
  answerNow?(params: never): object | Promise<object> | undefined
}

export interface RpcServerOptions {
  readonly methods: Readonly<Record<string, Method>>
  readonly clock: Clock
  /** 0 for an ephemeral port. */
  readonly port: number
  readonly onRefused?: (why: Refusal) => void
  /** After so many handshakes an endpoint is worn: each leaves a nonce in memory. */
  readonly handshakes?: number
  readonly onInternalError?: (error: unknown) => void
}

const CONNECTIONS = 256
const HANDSHAKES = 100_000 // 6.5 MB; a client that connects each second comes to it in a day
const STRANGERS = 256 // connections that have not proven themselves; the oldest goes first
const STRANGER_SECONDS = 2
const PING_SECONDS = 30
const DRAIN_SECONDS = 5
const CLOSE_RESTART = 1012
const CLOSE_TRY_LATER = 1013
const REFUSED = 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

// What Node's parser says of another method or version: to us it is a request like any other that is not right.
const REQUEST_LINE = new Set([
  'HPE_INVALID_METHOD',
  'HPE_INVALID_VERSION',
  'HPE_INVALID_CONSTANT',
  'HPE_INVALID_URL',
  'HPE_PAUSED_H2_UPGRADE',
])

/** The answer to headers that are no HTTP (RFC 9112 section 11.2), or too large (RFC 6585 section 5). */
function malformed(code: string): string {
  const status = code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
  return REFUSED.replace('403 Forbidden', status)
}

export class RpcServer {
  readonly #options: RpcServerOptions
  readonly #http: Server
  readonly #sockets: WebSocketServer
  readonly #connections = new Set<Connection>()
  readonly #strangers = new Map<Duplex, CancelTimer>()
  readonly #dispatcher: Dispatcher
  readonly #proofs = new WeakMap<IncomingMessage, string>()
  #guards: ((request: IncomingMessage) => Verdict)[] = []
  #cancelPing: CancelTimer = () => undefined
  #stopping = false
  #onIdle: () => void = () => undefined
  /** Called when it is time to `open` with a new endpoint. */
  onWorn: () => void = () => undefined

  /** Listens on 127.0.0.1. Nobody is let in before `open`. @throws a system error where the port is taken */
  static async listen(options: RpcServerOptions): Promise<RpcServer> {
    const server = new RpcServer(options)
    await new Promise<void>((resolve, reject) => {
      server.#http.once('error', reject)
      server.#http.listen({ host: '127.0.0.1', port: options.port, backlog: 1024 }, resolve)
    })
    return server
  }

  private constructor(options: RpcServerOptions) {
    this.#options = options
    this.#dispatcher = this.#createDispatcher()
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: LIMITS.frameBytes,
      maxFragments: LIMITS.fragments,
    })
    // A missing Host is refused by the guard, with the same answer as everything else.
    this.#http = createServer({ maxHeaderSize: 8 * 1024, requireHostHeader: false, keepAlive: false })
    this.#http.maxHeadersCount = 0 // the default drops what comes after 2,000 headers, unseen by the guard
    this.#http.on('connection', (socket) => this.#greet(socket))
    for (const event of ['request', 'checkContinue', 'checkExpectation'] as const) {
      this.#http.on(event, (request: IncomingMessage) => this.#refuse(request.socket, 'request_line'))
    }
    this.#http.on('connect', (_request, socket) => this.#refuse(socket, 'request_line'))
    this.#http.on('clientError', (error, socket) => {
      const code = 'code' in error ? String(error.code) : ''
      if (socket.writable) this.#refuse(socket, 'request_line', REQUEST_LINE.has(code) ? REFUSED : malformed(code))
    })
    this.#http.on('upgrade', (request, socket, head) => {
      this.#admit(request, socket, head)
    })
    this.#sockets.on('headers', (headers, request) => headers.push(`${PROOF_HEADER}: ${this.#proofs.get(request)}`))
    this.#pingAll()
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port
  }

  /** Lets clients in that prove that they know the endpoint's key, or the one before: they may have read it just now. */
  open(endpoint: Endpoint): void {
    const { handshakes = HANDSHAKES } = this.#options
    const guard = createGuard(endpoint, (count) => {
      if (count === handshakes) this.onWorn()
    })
    this.#guards = [guard, ...this.#guards.slice(0, 1)]
  }

  /** Sends a notification to every connection. */
  notify(method: string, params: unknown): void {
    const text = JSON.stringify({ jsonrpc: '2.0', method, params })
    for (const connection of this.#connections) connection.send(text)
  }

  /** Takes no more clients or calls, lets calls that run finish (5 s at most), and closes. */
  async close(): Promise<void> {
    this.#stopping = true
    this.#cancelPing()
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()))
    for (const [socket, cancel] of this.#strangers) {
      cancel()
      socket.destroy()
    }
    await this.#drain()
    for (const connection of this.#connections) connection.close(CLOSE_RESTART, 'the daemon stops')
    await closed
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(DRAIN_SECONDS, resolve)
      this.#onIdle = () => {
        for (const connection of this.#connections) if (connection.isBusy) return
        cancel()
        resolve()
      }
      this.#onIdle()
    })
  }

  #admit(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const verdict = this.#judge(request)
    if (!verdict.allowed) {
      this.#refuse(socket, verdict.why)
      return
    }
    this.#strangers.get(socket)?.()
    this.#strangers.delete(socket)
    this.#proofs.set(request, verdict.proof)
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const connection = new Connection(webSocket, socket, this.#dispatcher, this.#options.clock, () => this.#onIdle())
      if (this.#connections.size >= CONNECTIONS) return connection.close(CLOSE_TRY_LATER, 'too many connections')
      this.#connections.add(connection)
      webSocket.once('close', () => this.#connections.delete(connection))
    })
  }

  #judge(request: IncomingMessage): Verdict {
    let verdict: Verdict = { allowed: false, why: 'request_line' } // before `open`, or on the way down
    if (this.#stopping) return verdict
    for (const guard of this.#guards) {
      verdict = guard(request)
      if (verdict.allowed || verdict.why !== 'authorization') break // only the key may be another
    }
    return verdict
  }

  #greet(socket: Duplex): void {
    if (this.#strangers.size >= STRANGERS) {
      const [oldest] = this.#strangers.keys()
      oldest?.destroy()
    }
    this.#strangers.set(
      socket,
      this.#options.clock.after(STRANGER_SECONDS, () => socket.destroy()),
    )
    socket.once('close', () => {
      this.#strangers.get(socket)?.()
      this.#strangers.delete(socket)
    })
  }

  #refuse(socket: Duplex, why: Refusal, answer = REFUSED): void {
    this.#options.onRefused?.(why)
    socket.on('error', () => undefined) // the peer may be gone already
    socket.end(answer)
    socket.resume() // what is still on its way must be read, or the peer sees a reset in place of the answer
  }

  #pingAll(): void {
    this.#cancelPing = this.#options.clock.after(PING_SECONDS, () => {
      for (const connection of this.#connections) connection.ping()
      this.#pingAll()
    })
  }

  #createDispatcher(): Dispatcher {
    const immediate = new Map<string, (params: unknown) => object | Promise<object> | undefined>()
    const server = new JSONRPCServer({
      errorListener: (_text, error) => {
        if (!(error instanceof RpcError)) this.#options.onInternalError?.(error)
      },
    })
    for (const [name, { params: schema, handle, answerNow }] of Object.entries(this.#options.methods)) {
      if (answerNow) {
        const none = parseParams(schema, {}) // most calls come without params: they are checked once for all
        immediate.set(name, (params) => answerNow((params === undefined ? none : parseParams(schema, params)) as never))
      }
      server.addMethod(name, (params: unknown) => {
        if (this.#stopping) throw new RpcError(errors.shuttingDown.code, errors.shuttingDown.message)
        return handle(parseParams(schema, params) as never)
      })
    }
    server.mapErrorToJSONRPCErrorResponse = toErrorResponse
    return {
      server,
      answerNow: (method, params) => {
        try {
          return this.#stopping ? undefined : immediate.get(method)?.(params)
        } catch {
          return undefined // the dispatcher comes to the same, and says so
        }
      },
    }
  }
}

// The library would send the message of whatever was thrown.
function toErrorResponse(id: JSONRPCID, error: unknown): JSONRPCErrorResponse {
  if (error instanceof RpcError) return createJSONRPCErrorResponse(id, error.code, error.message, error.data)
  return createJSONRPCErrorResponse(id, INTERNAL_ERROR, 'internal error')
}
