// One client: turns its text frames into calls and the outcomes into answers (JSON-RPC 2.0, batches included).
import type { Duplex } from 'node:stream'
import { createJSONRPCErrorResponse, type JSONRPCRequest, type JSONRPCServer } from 'json-rpc-2.0'
import type { WebSocket } from 'ws'
import type { Clock } from '../host/clock.ts'
import { INVALID_REQUEST, PARSE_ERROR } from './contract.ts'
import { encode, encodeResult, exceedsDepth, isRequest, requestId } from './message.ts'

export const LIMITS = {
  frameBytes: 64 * 1024,
  fragments: 64,
  batchCalls: 32,
  jsonDepth: 64,
  runningCalls: 4096,
  bufferedBytes: 1024 * 1024,
  /** Above this a client that does not read is not read from either, so that its answers cannot pile up. */
  pauseBytes: 256 * 1024,
} as const

/** What a connection does with a request. */
export interface Dispatcher {
  /** The result where it is in memory already, without a promise, or is being fetched for others: the hot path. */
  readonly answerNow: (method: string, params: unknown) => object | Promise<object> | undefined
  readonly server: JSONRPCServer
}

const CALLS_A_TURN = 32 // a few milliseconds of work in a process that has just started, with answers from memory
const READ_BYTES = 64 * 1024 // what the system reads at once, where there is more to come

const LAG_BYTES = LIMITS.pauseBytes / 4

const TEXT_FRAME = { binary: false } as const

type Text = string | Buffer
type Answer = Text | PromiseLike<Text | undefined>

const NORMAL_CLOSE_SECONDS = 1 // a peer that does not answer our close frame by then is cut off
const CLOSE_UNSUPPORTED = 1003
const CLOSE_TRY_LATER = 1013

export class Connection {
  readonly #socket: WebSocket
  readonly #dispatcher: Dispatcher
  readonly #clock: Clock
  readonly #idle: () => void
  readonly #stream: Duplex
  /** What has come in this turn beyond what a turn may do, in order. It is less than one read holds. */
  #waiting: string[] = []
  #callsThisTurn = 0
  #running = 0
  #paused = false
  #yielding = false
  #gathering = false
  #silentPings = 0

  /**
   * @param stream the socket below the WebSocket
   * @param idle is called whenever the last running call has been answered
   */
  constructor(socket: WebSocket, stream: Duplex, dispatcher: Dispatcher, clock: Clock, idle: () => void) {
    this.#socket = socket
    this.#stream = stream
    this.#dispatcher = dispatcher
    this.#clock = clock
    this.#idle = idle
    // Answers to all the frames of one read go to the system together: one call for a pipeline of answers.
    stream.prependListener('data', () => {
      stream.cork()
      this.#callsThisTurn = 0
    })
    stream.on('data', (chunk: Buffer) => {
      stream.uncork()
      // The system would read on and on in this turn; timers and other clients wait until it ends.
      if (chunk.length >= READ_BYTES || this.#waiting.length > 0) this.#goOnNextTurn()
    })
    socket.on('message', (data, isBinary) => {
      // ws hands over what it had read before a close; nobody would see the answer.
      if (socket.readyState !== socket.OPEN) return
      if (isBinary) return this.close(CLOSE_UNSUPPORTED, 'text frames only')
      this.#silentPings = 0
      this.#running++
      if (this.#callsThisTurn < CALLS_A_TURN) this.#receive(String(data))
      else this.#waiting.push(String(data))
      if (this.#running > LIMITS.runningCalls) this.close(CLOSE_TRY_LATER, 'too many calls at once')
    })
    socket.on('pong', () => {
      this.#silentPings = 0
    })
    socket.on('error', () => undefined) // ws closes with the right code by itself; nothing is left to do
  }

  get isBusy(): boolean {
    return this.#running > 0
  }

  /** Sends an already encoded message. */
  send(text: string | Buffer): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    // Only a client that lags is watched: a callback for each answer would cost a tenth of the speed.
    if (this.#socket.bufferedAmount < LAG_BYTES) this.#socket.send(text, TEXT_FRAME)
    else this.#socket.send(text, TEXT_FRAME, () => this.#drained())
    const buffered = this.#socket.bufferedAmount
    if (buffered > LIMITS.bufferedBytes) this.close(CLOSE_TRY_LATER, 'answers are not read')
    else if (buffered > LIMITS.pauseBytes && !this.#paused) {
      this.#paused = true
      this.#socket.pause()
    }
  }

  close(code: number, reason: string): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.close(code, reason)
    const cancel = this.#clock.after(NORMAL_CLOSE_SECONDS, () => this.#socket.terminate())
    this.#socket.once('close', cancel)
    if (this.#paused) this.#socket.resume() // else its own close frame would never be read
  }

  /** Pings; cuts off a peer that has answered neither of the last two. */
  ping(): void {
    if (this.#silentPings >= 2) this.#socket.terminate()
    else if (this.#socket.readyState === this.#socket.OPEN) {
      this.#silentPings++
      this.#socket.ping()
    }
  }

  #drained(): void {
    if (this.#paused && this.#socket.bufferedAmount < LIMITS.pauseBytes / 2) {
      this.#paused = false
      if (!this.#yielding) this.#socket.resume()
    }
  }

  /** Reads no more in this turn of the event loop, and goes on with what waits in the next one. */
  #goOnNextTurn(): void {
    if (this.#yielding) return
    this.#yielding = true
    this.#socket.pause()
    setImmediate(() => {
      this.#yielding = false
      this.#callsThisTurn = 0
      this.#stream.cork()
      while (this.#callsThisTurn < CALLS_A_TURN) {
        const text = this.#waiting.shift()
        if (text === undefined) break
        this.#receive(text)
      }
      this.#stream.uncork()
      if (this.#waiting.length > 0) this.#goOnNextTurn()
      else if (!this.#paused) this.#socket.resume()
    })
  }

  /** Turns one frame into one answer, or none. */
  #receive(text: string): void {
    this.#callsThisTurn++
    if (exceedsDepth(text, LIMITS.jsonDepth)) {
      this.#finish(invalidRequest(null, `nested deeper than ${LIMITS.jsonDepth}`))
      return
    }
    let message: unknown
    try {
      message = JSON.parse(text)
    } catch {
      this.#finish(encode(createJSONRPCErrorResponse(null, PARSE_ERROR, 'parse error')))
      return
    }
    const answer = Array.isArray(message) ? this.#batch(message) : this.#call(message)
    if (typeof answer === 'string' || Buffer.isBuffer(answer)) this.#finish(answer)
    else
      answer.then((answer) => {
        this.#gather()
        this.#finish(answer)
      })
  }

  /** The answers of one turn, as those of all who waited for a token, go to the system together, in shares it can take. */
  #gather(): void {
    if (this.#gathering) {
      if (this.#stream.writableLength < LAG_BYTES) return
      this.#stream.uncork()
      this.#stream.cork()
      return
    }
    this.#gathering = true
    this.#stream.cork()
    process.nextTick(() => {
      this.#gathering = false
      this.#stream.uncork()
    })
  }

  #finish(answer: Text | undefined): void {
    if (answer !== undefined) this.send(answer)
    if (--this.#running === 0) this.#idle()
  }

  #batch(messages: readonly unknown[]): Answer {
    if (messages.length === 0) return invalidRequest(null, 'an empty batch')
    if (messages.length > LIMITS.batchCalls)
      return invalidRequest(null, `a batch of more than ${LIMITS.batchCalls} calls`)
    this.#callsThisTurn += messages.length
    return Promise.all(messages.map((one) => this.#call(one))).then((all) => {
      const answers = all.filter((answer) => answer !== undefined)
      return answers.length > 0 ? `[${answers.join(',')}]` : undefined
    })
  }

  /** Never rejects: every failure of a call is an answer. */
  #call(message: unknown): Answer {
    if (!isRequest(message)) return invalidRequest(requestId(message))
    const { id, method, params } = message
    const result = id === undefined ? undefined : this.#dispatcher.answerNow(method, params)
    if (!result || id === undefined) return this.#dispatch(message)
    if (!(result instanceof Promise)) return encodeResult(id, result)
    const late = (result: object) => encodeResult(id, result)
    return result.then(late, () => this.#dispatch(message)) // what failed for others may have another end for this one
  }

  #dispatch(message: JSONRPCRequest): PromiseLike<Text | undefined> {
    return this.#dispatcher.server.receive(message).then((response) => (response ? encode(response) : undefined))
  }
}

function invalidRequest(id: string | number | null, detail?: string): Text {
  const message = detail === undefined ? 'invalid request' : `invalid request: ${detail}`
  return encode(createJSONRPCErrorResponse(id, INVALID_REQUEST, message))
}
