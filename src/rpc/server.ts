// The RPC server: its listener, its connections and its methods; notifies and pings clients, and closes in order.
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { CancelTimer, Clock } from '../host/clock.ts'
import { withTimeout } from '../host/timeout.ts'
import { CLOSE_RESTART, CLOSE_TRY_LATER, Connection } from './connection.ts'
import type { Endpoint } from './discovery.ts'
import { Dispatcher, type Methods } from './dispatcher.ts'
import type { Refusal } from './guard.ts'
import { LIMITS } from './limits.ts'
import { UpgradeListener } from './upgrade.ts'

export interface RpcServerOptions {
  readonly methods: Methods
  readonly clock: Clock
  /** 0 for an ephemeral port. */
  readonly port: number
  readonly onRefused?: (why: Refusal) => void
  /** `onKeyRenewalDue` is called after this many handshakes with one key: each keeps a nonce in memory. */
  readonly handshakesPerKey?: number
  readonly onInternalError?: (error: unknown) => void
}

const PING_SECONDS = 30
const DRAIN_SECONDS = 5

export class RpcServer {
  readonly #clock: Clock
  readonly #dispatcher: Dispatcher
  readonly #upgrade: UpgradeListener
  readonly #connections = new Set<Connection>()
  #cancelPing: CancelTimer = () => undefined
  #onIdle: () => void = () => undefined
  /** Called when `setEndpoint` is to be called with a new endpoint. */
  onKeyRenewalDue: () => void = () => undefined

  /** Listens on 127.0.0.1. Refuses every client until `setEndpoint` is called. @throws a system error if the port is taken */
  static async listen(options: RpcServerOptions): Promise<RpcServer> {
    const server = new RpcServer(options)
    await server.#upgrade.listen(options.port)
    return server
  }

  private constructor(options: RpcServerOptions) {
    const { clock, methods, onInternalError, onRefused = () => undefined } = options
    this.#clock = clock
    this.#dispatcher = new Dispatcher(methods, onInternalError)
    this.#upgrade = new UpgradeListener({
      clock,
      handshakesPerKey: options.handshakesPerKey ?? LIMITS.handshakesPerKey,
      onRefused,
      onKeyRenewalDue: () => this.onKeyRenewalDue(),
      onUpgraded: (webSocket, stream) => this.#connect(webSocket, stream),
    })
  }

  get port(): number {
    return this.#upgrade.port
  }

  /** Accepts clients that know this endpoint's key, or the key before it: a client may have just read that one. */
  setEndpoint(endpoint: Endpoint): void {
    this.#upgrade.setEndpoint(endpoint)
  }

  /** Sends a notification to every connection. */
  notify(method: string, params: unknown): void {
    const text = JSON.stringify({ jsonrpc: '2.0', method, params })
    for (const connection of this.#connections) connection.send(text)
  }

  /** Accepts no further clients or calls, lets running calls finish for up to 5 s, and closes every connection. */
  async close(): Promise<void> {
    this.#dispatcher.stop()
    this.#cancelPing()
    const ended = this.#upgrade.close()
    await this.#drain()
    for (const connection of this.#connections) connection.close(CLOSE_RESTART, 'the daemon stops')
    await ended
  }

  #connect(webSocket: WebSocket, stream: Duplex): void {
    const connection = new Connection(webSocket, stream, this.#dispatcher, this.#clock, () => this.#onIdle())
    if (this.#connections.size >= LIMITS.connections) {
      connection.close(CLOSE_TRY_LATER, 'too many connections')
      return
    }
    this.#connections.add(connection)
    if (this.#connections.size === 1) this.#schedulePings()
    webSocket.once('close', () => {
      this.#connections.delete(connection)
      if (this.#connections.size === 0) this.#cancelPing() // without a client, nothing wakes an idle laptop
    })
  }

  /** Resolves when no call is running, or after the time that running calls are given. */
  async #drain(): Promise<void> {
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = () => {
        for (const connection of this.#connections) if (connection.isBusy) return
        resolve()
      }
      this.#onIdle()
    })
    await withTimeout(this.#clock, DRAIN_SECONDS, idle, () => new Error('calls are still running')).catch(
      () => undefined,
    )
  }

  #schedulePings(): void {
    this.#cancelPing = this.#clock.after(PING_SECONDS, () => {
      for (const connection of this.#connections) connection.ping()
      this.#schedulePings()
    })
  }
}
