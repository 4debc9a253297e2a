// The flow control of one client: fair turns, backpressure, bounds, pings and the close.
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Clock } from '../host/clock.ts'
import type { Dispatcher } from './dispatcher.ts'
import { LIMITS } from './limits.ts'
import { type Encoded, parseMessage } from './message.ts'

const CALLS_PER_TURN = 32 // a few milliseconds in a process that has just started, if the responses are in memory
const FULL_READ_BYTES = 64 * 1024 // a read of this size means that more bytes are waiting in the system
const LAGGING_BYTES = LIMITS.pauseBytes / 4
const TEXT_FRAME = { binary: false } as const
const CLOSE_SECONDS = 1 // for the client's own close frame; then the socket is destroyed
const UNANSWERED_PINGS = 2

export const CLOSE_UNSUPPORTED = 1003
export const CLOSE_RESTART = 1012
export const CLOSE_TRY_LATER = 1013

export class Connection {
  readonly #webSocket: WebSocket
  readonly #dispatcher: Dispatcher
  readonly #clock: Clock
  readonly #onIdle: () => void
  readonly #stream: Duplex
  /** Messages beyond the calls of this turn, in order. They are less than one read holds. */
  #queue: string[] = []
  #callsThisTurn = 0
  #running = 0
  #unansweredPings = 0
  #isPausedForClient = false
  #isPausedUntilNextTurn = false
  #isCorked = false

  /**
   * @param stream the socket below the WebSocket
   * @param onIdle is called each time the last running call has been answered
   */
  constructor(webSocket: WebSocket, stream: Duplex, dispatcher: Dispatcher, clock: Clock, onIdle: () => void) {
    this.#webSocket = webSocket
    this.#stream = stream
    this.#dispatcher = dispatcher
    this.#clock = clock
    this.#onIdle = onIdle
    // The responses to all messages of one read are written with one system call.
    stream.prependListener('data', () => {
      stream.cork()
      this.#callsThisTurn = 0
    })
    stream.on('data', (chunk: Buffer) => {
      stream.uncork()
      // Node would go on reading in this turn, and timers and other clients would wait.
      if (chunk.length >= FULL_READ_BYTES || this.#queue.length > 0) this.#continueNextTurn()
    })
    webSocket.on('message', (data, isBinary) => this.#onMessage(data, isBinary))
    webSocket.on('pong', () => {
      this.#unansweredPings = 0
    })
    webSocket.on('error', () => undefined) // ws closes with the right code by itself
  }

  get isBusy(): boolean {
    return this.#running > 0
  }

  /** Sends an encoded message. */
  send(text: Encoded): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return
    // Only for a client that lags: a callback for each response would cost a tenth of the throughput.
    if (this.#webSocket.bufferedAmount < LAGGING_BYTES) this.#webSocket.send(text, TEXT_FRAME)
    else this.#webSocket.send(text, TEXT_FRAME, () => this.#onWritten())
    const buffered = this.#webSocket.bufferedAmount
    if (buffered > LIMITS.bufferedBytes) this.close(CLOSE_TRY_LATER, 'answers are not read')
    else if (buffered > LIMITS.pauseBytes && !this.#isPausedForClient) {
      this.#isPausedForClient = true
      this.#webSocket.pause()
    }
  }

  close(code: number, reason: string): void {
    if (this.#webSocket.readyState === this.#webSocket.OPEN) this.#webSocket.close(code, reason)
    const cancel = this.#clock.after(CLOSE_SECONDS, () => this.#webSocket.terminate())
    this.#webSocket.once('close', cancel)
    if (this.#isPausedForClient) this.#webSocket.resume() // a paused socket never reads the client's close frame
  }

  /** Pings the client. Destroys the socket if the client has been silent since the last two pings. */
  ping(): void {
    if (this.#unansweredPings >= UNANSWERED_PINGS) this.#webSocket.terminate()
    else if (this.#webSocket.readyState === this.#webSocket.OPEN) {
      this.#unansweredPings++
      this.#webSocket.ping()
    }
  }

  #onMessage(data: WebSocket.RawData, isBinary: boolean): void {
    // After a close ws still emits what it had read; no response can be sent.
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return
    if (isBinary) {
      this.close(CLOSE_UNSUPPORTED, 'text frames only')
      return
    }
    this.#unansweredPings = 0
    this.#running++
    if (this.#callsThisTurn < CALLS_PER_TURN) this.#receive(String(data))
    else this.#queue.push(String(data))
    if (this.#running > LIMITS.runningCalls) this.close(CLOSE_TRY_LATER, 'too many calls at once')
  }

  #receive(text: string): void {
    const { message, refusal } = parseMessage(text)
    this.#callsThisTurn += Array.isArray(message) ? Math.max(1, message.length) : 1
    const response = refusal ?? this.#dispatcher.respond(message)
    if (typeof response === 'string' || Buffer.isBuffer(response)) this.#finish(response)
    else
      response.then((response) => {
        this.#corkThisTurn()
        this.#finish(response)
      })
  }

  #finish(response: Encoded | undefined): void {
    if (response !== undefined) this.send(response)
    if (--this.#running === 0) this.#onIdle()
  }

  #onWritten(): void {
    if (this.#isPausedForClient && this.#webSocket.bufferedAmount < LIMITS.pauseBytes / 2) {
      this.#isPausedForClient = false
      if (!this.#isPausedUntilNextTurn) this.#webSocket.resume()
    }
  }

  /** Stops reading for this turn of the event loop, and continues with the queue in the next. */
  #continueNextTurn(): void {
    if (this.#isPausedUntilNextTurn) return
    this.#isPausedUntilNextTurn = true
    this.#webSocket.pause()
    setImmediate(() => {
      this.#isPausedUntilNextTurn = false
      this.#callsThisTurn = 0
      this.#stream.cork()
      while (this.#callsThisTurn < CALLS_PER_TURN) {
        const text = this.#queue.shift()
        if (text === undefined) break
        this.#receive(text)
      }
      this.#stream.uncork()
      if (this.#queue.length > 0) this.#continueNextTurn()
      else if (!this.#isPausedForClient) this.#webSocket.resume()
    })
  }

  /** Writes responses that become ready together, such as after a refresh, together, in parts that the system can take. */
  #corkThisTurn(): void {
    if (this.#isCorked) {
      if (this.#stream.writableLength < LAGGING_BYTES) return
      this.#stream.uncork()
      this.#stream.cork()
      return
    }
    this.#isCorked = true
    this.#stream.cork()
    process.nextTick(() => {
      this.#isCorked = false
      this.#stream.uncork()
    })
  }
}
