// The HTTP listener on 127.0.0.1: upgrades proven clients to WebSockets and refuses every other request.
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Clock } from '../host/clock.ts'
import type { Endpoint } from './discovery.ts'
import { createGuard, type Refusal, type Verdict } from './guard.ts'
import { PROOF_HEADER } from './handshake.ts'
import { LIMITS } from './limits.ts'
import { UnauthenticatedSockets } from './unauthenticated-sockets.ts'

export interface UpgradeOptions {
  readonly clock: Clock
  readonly handshakesPerKey: number
  readonly onRefused: (why: Refusal) => void
  readonly onKeyRenewalDue: () => void
  /** @param stream the socket below the WebSocket */
  readonly onUpgraded: (webSocket: WebSocket, stream: Duplex) => void
}

const HEADER_BYTES = 8 * 1024
const NEVER = 2 ** 31 - 1 // ms; UnauthenticatedSockets has its own deadlines, and Node's check would wake an idle laptop twice a minute
const BACKLOG = 1024
const FORBIDDEN = 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

// Node's parser rejects another method or version by itself. Such a request gets the same 403 as any other.
const REQUEST_LINE_ERRORS = new Set([
  'HPE_INVALID_METHOD',
  'HPE_INVALID_VERSION',
  'HPE_INVALID_CONSTANT',
  'HPE_INVALID_URL',
  'HPE_PAUSED_H2_UPGRADE',
])

export class UpgradeListener {
  readonly #options: UpgradeOptions
  readonly #http: Server
  readonly #webSockets: WebSocketServer
  readonly #unauthenticated: UnauthenticatedSockets
  readonly #proofs = new WeakMap<IncomingMessage, string>()
  #guards: readonly ((request: IncomingMessage) => Verdict)[] = []

  constructor(options: UpgradeOptions) {
    this.#options = options
    this.#unauthenticated = new UnauthenticatedSockets(options.clock)
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: LIMITS.frameBytes,
      maxFragments: LIMITS.fragments,
    })
    this.#webSockets.on('headers', (headers, request) => headers.push(`${PROOF_HEADER}: ${this.#proofs.get(request)}`))
    // The guard checks the Host: Node would answer a missing one differently.
    this.#http = createServer({
      maxHeaderSize: HEADER_BYTES,
      requireHostHeader: false,
      keepAlive: false,
      connectionsCheckingInterval: NEVER,
    })
    this.#http.maxHeadersCount = 0 // by default Node drops headers after the 2,000th, and the guard would not see them
    this.#http.on('connection', (socket) => this.#unauthenticated.add(socket))
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    for (const event of ['request', 'checkContinue', 'checkExpectation'] as const) {
      this.#http.on(event, (request: IncomingMessage) => this.#refuse(request.socket, 'request_line'))
    }
    this.#http.on('connect', (_request, socket) => this.#refuse(socket, 'request_line'))
    this.#http.on('clientError', (error, socket) => {
      const code = 'code' in error ? String(error.code) : ''
      if (socket.writable) this.#refuse(socket, 'request_line', answerToParseError(code))
    })
  }

  /** Listens on 127.0.0.1. @param port 0 for an ephemeral port @throws a system error if the port is taken */
  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#http.once('error', reject)
      this.#http.listen({ host: '127.0.0.1', port, backlog: BACKLOG }, resolve)
    })
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port
  }

  /** Accepts clients that know this endpoint's key, or the key before it: a client may have just read that one. */
  setEndpoint(endpoint: Endpoint): void {
    const { handshakesPerKey, onKeyRenewalDue } = this.#options
    const guard = createGuard(endpoint, (nonces) => {
      if (nonces === handshakesPerKey) onKeyRenewalDue()
    })
    this.#guards = [guard, ...this.#guards.slice(0, 1)]
  }

  /** Accepts no further socket. Resolves once every socket has ended, upgraded ones included. */
  close(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#http.close(() => resolve()))
    this.#unauthenticated.destroyAll()
    return ended
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const verdict = this.#judge(request)
    if (!verdict.allowed) {
      this.#refuse(socket, verdict.why)
      return
    }
    this.#unauthenticated.remove(socket)
    this.#proofs.set(request, verdict.proof)
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => this.#options.onUpgraded(webSocket, socket))
  }

  #judge(request: IncomingMessage): Verdict {
    let verdict: Verdict = { allowed: false, why: 'request_line' } // until there is an endpoint
    for (const guard of this.#guards) {
      verdict = guard(request)
      if (verdict.allowed || verdict.why !== 'authorization') break // the guards differ in the key alone
    }
    return verdict
  }

  #refuse(socket: Duplex, why: Refusal, answer = FORBIDDEN): void {
    this.#options.onRefused(why)
    socket.on('error', () => undefined) // the client may be gone already
    socket.end(answer)
    socket.resume() // unread bytes would make the system send a reset in place of the answer
  }
}

/** The answer to bytes that are not HTTP (RFC 9112 section 11.2), or to headers that are too large (RFC 6585 section 5). */
function answerToParseError(code: string): string {
  if (REQUEST_LINE_ERRORS.has(code)) return FORBIDDEN
  const status = code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
  return FORBIDDEN.replace('403 Forbidden', status)
}
