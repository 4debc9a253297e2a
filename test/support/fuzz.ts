// What the fuzz tests share: the number and the duration of runs, a bound for memory, and requests sent in pieces.
import { connect } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect } from 'vitest'

// CADZERO_AUTH_FUZZ_RUNS: runs of each property. …_SECONDS: the limit for each. …_SEED: the seed that a failure printed.
// The short form has one seed, so that a commit that passes it passes it again; `npm run fuzz` has another seed each time.
const runs = setting('RUNS')
const seed = setting('SEED') ?? (runs === undefined ? 1 : undefined)
const seconds = setting('SECONDS') ?? (runs === undefined ? 5 : 600)

const RUN_MS = 10_000 // a run that takes longer waits for a response that will not come
const KEPT_BYTES = 24 * 1024 * 1024 // what a property may leave in memory: code that was compiled for the first time

/** The timeout of a test of one property: the limits of `check` apply first. */
export const FUZZ_TIMEOUT = { timeout: (seconds + 30) * 1000 }

/**
 * Checks a property in the configured number of runs, else in `few`, and that nothing stays in memory.
 * @param cost of one run: the configured number is divided by it
 */
export async function check<T>(few: number, property: fc.IAsyncProperty<T>, cost = 1): Promise<void> {
  const before = await liveBytes()
  await fc.assert(property, {
    numRuns: runs === undefined ? few : Math.ceil(runs / cost),
    ...(seed === undefined ? {} : { seed }),
    timeout: RUN_MS,
    interruptAfterTimeLimit: seconds * 1000,
  })
  expect((await liveBytes()) - before).toBeLessThan(KEPT_BYTES)
}

function setting(name: string): number | undefined {
  const text = process.env[`CADZERO_AUTH_FUZZ_${name}`]
  return text ? Number(text) : undefined
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Collects twice: what the last sockets hold is free a turn after they closed, and V8 sweeps buffers on another thread. */
async function liveBytes(): Promise<number> {
  collectGarbage()
  await nextTurn()
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Random bytes as text, a character each. */
export const latin1 = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes).toString('latin1'))

/** An edit of a text at one place: `put` is inserted, and `taken` characters are removed. */
export interface Edit {
  readonly at: number
  readonly put: string
  readonly taken: number
}

const part = fc.nat(1000).map((thousandths) => thousandths / 1000)

export const edit: fc.Arbitrary<Edit> = fc.record({
  at: part,
  put: fc.oneof(
    latin1(0, 3),
    fc.constantFrom('\r', '\n', '\r\n', ' ', '\t', '\0', ':', ',', '"', 'A', '%00', '\r\n\r\n'),
  ),
  taken: fc.oneof({ arbitrary: fc.nat(3), weight: 9 }, { arbitrary: fc.nat(4096), weight: 1 }),
})

export function edited(text: string, { at, put, taken }: Edit): string {
  const place = Math.floor(at * text.length)
  return text.slice(0, place) + put + text.slice(place + taken)
}

/** Places at which a text is cut into pieces that are sent one after another. */
export const cuts = fc.oneof(fc.constant([]), fc.array(part, { minLength: 1, maxLength: 4 }))

export interface Exchange {
  /** All received bytes, a character each. */
  readonly text: string
  /** The server reset the connection, and a response may have been lost with it. */
  readonly wasReset: boolean
}

/** Whether the response to a request has no body, whatever its Content-Length. */
export const isHeadRequest = (request: string) => /^[\r\n]*HEAD /.test(request)

/** Whether the head of a request does not end. */
export const isIncomplete = (request: string) => !request.replace(/^[\r\n]+/, '').includes('\r\n\r\n')

/**
 * Sends a request in pieces, a character per byte; collects the response until the server closes.
 * @param ends whether to end the request, since the server waits for more; the response may then be missing
 */
export function exchange(
  port: number,
  request: string,
  cutAt: readonly number[] = [],
  ends = isIncomplete(request),
): Promise<Exchange> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let text = ''
    let wasReset = false
    const send = async () => {
      for (const piece of pieces(request, cutAt)) {
        socket.write(piece, 'latin1')
        await new Promise((done) => setImmediate(done)) // the server reads this piece first
      }
      if (ends) socket.end()
    }
    socket.on('connect', () => void send())
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      text += chunk
      if (text.startsWith('HTTP/1.1 101 ') && text.includes('\r\n\r\n')) socket.destroy()
      else if (isHeadRequest(request) ? headIn(text) !== '' : readResponse(text).end !== undefined) socket.end()
    })
    socket.on('error', () => {
      wasReset = true
    })
    socket.on('close', () => resolve({ text, wasReset }))
  })
}

function pieces(text: string, cutAt: readonly number[]): string[] {
  const places = [0, ...cutAt.map((part) => Math.floor(part * text.length)).sort((a, b) => a - b), text.length]
  return places.slice(1).map((end, i) => text.slice(places[i], end))
}

export interface HttpResponse {
  readonly status: number | undefined
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
  /** The offset of the next response; undefined if this one is incomplete or ends with the connection. */
  readonly end: number | undefined
}

/** Parses the first final response: Node.js sends `100 Continue` by itself. */
export function readResponse(all: string): HttpResponse {
  const start = /^(?:HTTP\/1\.1 100 Continue\r\n\r\n)*/.exec(all)?.[0].length ?? 0
  const at = all.indexOf('\r\n\r\n', start)
  if (at < 0) return { status: undefined, headers: new Map(), body: '', end: undefined }
  const [first = '', ...lines] = all.slice(start, at).split('\r\n')
  const headers = new Map(
    lines.map((line) => {
      const [, name = '', value = ''] = /^([^:]+): ?(.*)$/.exec(line) ?? []
      return [name.toLowerCase(), value]
    }),
  )
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1])
  return { status, headers, ...readBody(all, at + 4, status, headers) }
}

function readBody(text: string, start: number, status: number, headers: ReadonlyMap<string, string>) {
  const length = headers.get('content-length') ?? (status === 204 ? '0' : undefined)
  if (length !== undefined) {
    const end = start + Number(length)
    return { body: text.slice(start, end), end: end <= text.length ? end : undefined }
  }
  if (headers.get('transfer-encoding') !== 'chunked') return { body: text.slice(start), end: undefined }
  const chunk = /([0-9a-f]+)\r\n/y
  for (let [body, at] = ['', start]; ; ) {
    chunk.lastIndex = at
    const [line = '', hex] = chunk.exec(text) ?? []
    const size = hex === undefined ? Number.NaN : Number.parseInt(hex, 16)
    at += line.length + size + 2
    if (Number.isNaN(size) || at > text.length) return { body, end: undefined }
    if (size === 0) return { body, end: at }
    body += text.slice(at - size - 2, at - 2)
  }
}

/** The head of the first final response. */
export const headIn = (text: string) =>
  text.split(/(?<=\r\n\r\n)/).find((head) => !head.startsWith('HTTP/1.1 100 ')) ?? ''

/** Splits the received text into responses. */
export function responsesIn(text: string): string[] {
  if (text === '') return []
  const { end = text.length } = readResponse(text)
  return [text.slice(0, end), ...responsesIn(text.slice(end))]
}

const BARE = ['400 Bad Request', '431 Request Header Fields Too Large'].map(
  (status) => `HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`,
)

/** Whether Node.js itself has responded: to malformed HTTP, to a missing Host, to an unknown Expect. */
export function isFromNode(text: string): boolean {
  const { status, headers, body } = readResponse(text)
  const isEmpty = !headers.has('content-length') && body === ''
  return BARE.includes(text) || (isEmpty && [400, 417].includes(Number(status)))
}
