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
const KEPT_BYTES = 24 * 1024 * 1024 // what a property may leave behind: code that ran for the first time, no more

/** For a test of one property: the bounds of `check` come first. */
export const FUZZ_TIMEOUT = { timeout: (seconds + 30) * 1000 }

/**
 * Checks a property in as many runs as were asked for, else in `few`, and that nothing stays in memory.
 * @param cost of one run where it takes long: so much fewer are many
 */
export async function check<T>(few: number, property: fc.IAsyncProperty<T>, cost = 1): Promise<void> {
  const before = liveBytes()
  await fc.assert(property, {
    numRuns: runs === undefined ? few : Math.ceil(runs / cost),
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
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
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

/** Whether answers are heads alone, whatever they say of a body. */
export const isToHead = (request: string) => /^[\r\n]*HEAD /.test(request)

/** Half a head waits for its other half. */
export const isHalf = (request: string) => !request.replace(/^[\r\n]+/, '').includes('\r\n\r\n')

/**
 * Sends a request, a character a byte, in pieces; collects the answer until the peer has closed.
 * @param isCutShort whether the peer has to be told that no more will come; an answer may then not come either
 */
export function exchange(
  port: number,
  request: string,
  cutAt: readonly number[] = [],
  isCutShort = isHalf(request),
): Promise<Exchanged> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let text = ''
    let wasReset = false
    const send = async () => {
      for (const piece of pieces(request, cutAt)) {
        socket.write(piece, 'latin1')
        await new Promise((done) => setImmediate(done)) // the peer reads what it has so far
      }
      if (isCutShort) socket.end()
    }
    socket.on('connect', () => void send())
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      text += chunk
      if (text.startsWith('HTTP/1.1 101 ') && text.includes('\r\n\r\n')) socket.destroy()
      else if (isToHead(request) ? headIn(text) !== '' : readAnswer(text).end !== undefined) socket.end()
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

export interface HttpAnswer {
  readonly status: number | undefined
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
  /** Where the next answer begins; undefined where this one is not whole, or ends with the connection. */
  readonly end: number | undefined
}

/** The first final answer in what came: Node says `100 Continue` by itself. */
export function readAnswer(all: string): HttpAnswer {
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

/** The head of the first answer: all that there is of one to HEAD. */
export const headIn = (text: string) =>
  text.split(/(?<=\r\n\r\n)/).find((head) => !head.startsWith('HTTP/1.1 100 ')) ?? ''

/** The texts of the answers in what came, one for each request. */
export function answersIn(text: string): string[] {
  if (text === '') return []
  const { end = text.length } = readAnswer(text)
  return [text.slice(0, end), ...answersIn(text.slice(end))]
}

const BARE = ['400 Bad Request', '431 Request Header Fields Too Large'].map(
  (status) => `HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`,
)

/** Whether Node itself has answered: to what it cannot read, to a missing Host, to an Expect that it does not know. */
export function isNodesOwn(text: string): boolean {
  const { status, headers, body } = readAnswer(text)
  const isEmpty = !headers.has('content-length') && body === ''
  return BARE.includes(text) || (isEmpty && [400, 417].includes(Number(status)))
}
