// What the fuzz tests share: how many runs and how long, what may stay in memory, and bytes sent in pieces over a socket.
import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect } from 'vitest'

// CADZERO_AUTH_FUZZ_RUNS: runs of each property. …_SECONDS: the most that each may take. …_SEED: as a failure printed it.
const runs = given('RUNS')
const seed = given('SEED')
const seconds = given('SECONDS') ?? (runs === undefined ? 5 : 600)

const RUN_MS = 10_000 // an answer that is not there by then will not come
const KEPT_BYTES = 24 * 1024 * 1024 // what a property may leave on the heap: code that ran for the first time, no more

/** For a test of one property: the bounds of `check` come first. */
export const FUZZ_TIMEOUT = { timeout: (seconds + 30) * 1000 }

/** Checks a property in as many runs as were asked for, else in `few`, and that nothing stays in memory. */
export async function check<T>(few: number, property: fc.IAsyncProperty<T>): Promise<void> {
  const before = liveBytes()
  await fc.assert(property, {
    numRuns: runs ?? few,
    ...(seed === undefined ? {} : { seed }),
    timeout: RUN_MS,
    interruptAfterTimeLimit: seconds * 1000,
  })
  expect(liveBytes() - before).toBeLessThan(KEPT_BYTES)
}

function given(name: string): number | undefined {
  const text = process.env[`CADZERO_AUTH_FUZZ_${name}`]
  return text ? Number(text) : undefined
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function liveBytes(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

/** Bytes as text, a character each. */
export const latin1 = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes).toString('latin1'))

/** A change of any text at one place: something put in, taken out, or both. */
export interface Spoil {
  readonly at: number
  readonly put: string
  readonly taken: number
}

const part = fc.nat(1000).map((thousandths) => thousandths / 1000)

export const spoil: fc.Arbitrary<Spoil> = fc.record({
  at: part,
  put: fc.oneof(
    latin1(0, 3),
    fc.constantFrom('\r', '\n', '\r\n', ' ', '\t', '\0', ':', ',', '"', 'A', '%00', '\r\n\r\n'),
  ),
  taken: fc.oneof({ arbitrary: fc.nat(3), weight: 9 }, { arbitrary: fc.nat(4096), weight: 1 }),
})

export function spoiled(text: string, { at, put, taken }: Spoil): string {
  const place = Math.floor(at * text.length)
  return text.slice(0, place) + put + text.slice(place + taken)
}

/** Where to cut a text into pieces that are sent one after another. */
export const cuts = fc.oneof(fc.constant([]), fc.array(part, { minLength: 1, maxLength: 4 }))

export interface Exchanged {
  /** Everything that came, a character a byte. */
  readonly text: string
  /** The peer cut the connection, and with it perhaps an answer that was on its way. */
  readonly wasReset: boolean
}

/** Sends a request, a character a byte, in pieces; collects the answer until the peer has closed. */
export function exchange(port: number, request: string, cutAt: readonly number[] = []): Promise<Exchanged> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let text = ''
    let wasReset = false
    const send = async () => {
      for (const piece of pieces(request, cutAt)) {
        socket.write(piece, 'latin1')
        await new Promise((done) => setImmediate(done)) // the peer reads what it has so far
      }
      // Half a head waits for its other half, and an answer may wait for ever: the end of what is sent ends both.
      if (!request.replace(/^[\r\n]+/, '').includes('\r\n\r\n')) socket.end()
    }
    socket.on('connect', () => void send())
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      text += chunk
      if (text.startsWith('HTTP/1.1 101 ') && text.includes('\r\n\r\n')) socket.destroy()
      else if (isWhole(text)) socket.end()
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

/** Whether a whole answer is there, as far as its length is told. */
function isWhole(text: string): boolean {
  const answer = readAnswer(text)
  // Node's own, which have no length: 400 to a missing Host, 417 to an Expect that it does not know.
  if (answer.headers.has('transfer-encoding') || answer.status === 417) return true
  return answer.status === 204 || (answer.length !== undefined && answer.body.length >= answer.length)
}

export interface HttpAnswer {
  readonly status: number | undefined
  readonly headers: ReadonlyMap<string, string>
  readonly length: number | undefined
  readonly body: string
}

/** The final answer in what came: Node says `100 Continue` by itself. */
export function readAnswer(all: string): HttpAnswer {
  const text = all.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '')
  const end = text.indexOf('\r\n\r\n')
  const [first = '', ...lines] = text.slice(0, Math.max(end, 0)).split('\r\n')
  const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(first) ?? []
  const headers = new Map(
    lines.map((line) => {
      const [, name = '', value = ''] = /^([^:]+): ?(.*)$/.exec(line) ?? []
      return [name.toLowerCase(), value]
    }),
  )
  const length = headers.get('content-length')
  return {
    status: status === undefined ? undefined : Number(status),
    headers,
    length: length === undefined ? undefined : Number(length),
    body: end < 0 ? '' : text.slice(end + 4),
  }
}

/** The texts of the answers in what came, one for each request. */
export function answersIn(all: string): string[] {
  const text = all.replace(/^(?:HTTP\/1\.1 100 Continue\r\n\r\n)+/, '')
  if (text === '') return []
  const { headers, length = 0 } = readAnswer(text)
  const isChunked = headers.get('transfer-encoding') === 'chunked'
  const end = isChunked ? text.indexOf('0\r\n\r\n') + 5 : text.indexOf('\r\n\r\n') + 4 + length
  return [text.slice(0, end), ...answersIn(text.slice(Math.max(end, 1)))]
}

const BARE = ['400 Bad Request', '431 Request Header Fields Too Large'].map(
  (status) => `HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`,
)

/** Whether Node itself has answered: to what it cannot read, to a missing Host, to an Expect that it does not know. */
export function isNodesOwn(text: string): boolean {
  const { status, headers, body } = readAnswer(text)
  const isEmpty = !headers.has('content-length') && ['', '0\r\n\r\n'].includes(body)
  return BARE.includes(text) || (isEmpty && [400, 417].includes(Number(status)))
}
