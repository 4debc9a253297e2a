// Fuzzes WebSocket frames after a valid handshake: each gets its response, or closes its connection with the expected code.
import { isUtf8 } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import fc from 'fast-check'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { check, cuts, type Edit, edit, edited, FUZZ_TIMEOUT } from '../support/fuzz.ts'
import { bytesOf, startServer, upgradeRequest } from '../support/rpc.ts'

const methods = { ping: { params: v.any(), handle: () => ['pong'] } }
const CALL = '{"jsonrpc":"2.0","method":"ping","id":1}'
const RESPONSE = '{"jsonrpc":"2.0","id":1,"result":["pong"]}'
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10]
const [LARGEST_MESSAGE, MOST_FRAGMENTS] = [64 * 1024, 64]
const MOST_PINGS = 60 // at once: the connection may be cut off after more

interface Frame {
  readonly fin: boolean
  readonly reserved: number
  readonly opcode: number
  readonly isMasked: boolean
  readonly mask: number
  readonly payload: string
  /** The size of the length field; and the length that it claims, if that is wrong. */
  readonly lengthBytes: 0 | 2 | 8
  readonly claimed: bigint | undefined
  readonly times: number
}

const payload = fc.oneof(
  { arbitrary: fc.constantFrom('', CALL, CALL, '{', '\xff', '\xc3', '\xed\xa0\x80', '\0'), weight: 4 },
  {
    arbitrary: fc.constantFrom(
      '\x03',
      '\x03\xe8',
      '\x03\xe9bye',
      '\x03\xee',
      '\x03\xed',
      '\0\0',
      '\x0f\xa0',
      '\x13\x88',
      '\x03\xe8\xff',
    ),
    weight: 3,
  },
  { arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1')), weight: 2 },
  { arbitrary: fc.constantFrom(125, 126, 127, 65_535, 65_536, 65_537).map((length) => ' '.repeat(length)), weight: 1 },
)
const mostly = <T>(usual: T, other: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: fc.constant(usual), weight: 12 }, { arbitrary: other, weight: 1 })
const frame: fc.Arbitrary<Frame> = fc.record({
  fin: mostly(true, fc.constant(false)),
  reserved: mostly(0, fc.integer({ min: 1, max: 7 })),
  opcode: fc.oneof(
    { arbitrary: fc.constantFrom(TEXT, TEXT, TEXT, PING, PONG, CONTINUATION, BINARY, CLOSE), weight: 8 },
    { arbitrary: fc.integer({ min: 0, max: 15 }), weight: 1 },
  ),
  isMasked: mostly(true, fc.constant(false)),
  mask: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffffffff })),
  payload,
  lengthBytes: mostly<0 | 2 | 8>(0, fc.constantFrom(2, 8)),
  claimed: mostly<bigint | undefined>(
    undefined,
    fc.oneof(
      fc.constantFrom(65_537n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 62n, 2n ** 64n - 1n),
      fc.bigInt(0n, 70_000n),
    ),
  ),
  times: mostly(1, fc.constantFrom(2, 64, 65)),
})
/** One text message in several frames, possibly with another frame between them. */
const fragmented: fc.Arbitrary<Frame[]> = fc
  .record({ count: fc.integer({ min: 2, max: 70 }), between: fc.option(frame, { freq: 3 }), whole: frame })
  .map(({ count, between, whole }) => {
    const one = { ...whole, reserved: 0, isMasked: true, claimed: undefined, times: 1 }
    const text = CALL.padEnd(count)
    const frames = Array.from({ length: count }, (_, i) => ({
      ...one,
      opcode: i === 0 ? TEXT : CONTINUATION,
      fin: i === count - 1,
      payload: i === count - 1 ? text.slice(i) : String(text[i]),
    }))
    return between ? [...frames.slice(0, 1), between, ...frames.slice(1)] : frames
  })

function encode(frame: Frame): Buffer {
  const { fin, reserved, opcode, isMasked, mask, payload, claimed } = frame
  const data = Buffer.from(payload, 'latin1')
  const length = claimed ?? BigInt(data.length)
  const needed = length < 126n ? 0 : length < 65_536n ? 2 : 8
  const lengthBytes = Math.max(needed, frame.lengthBytes)
  const short = lengthBytes === 0 ? Number(length) : lengthBytes === 2 ? 126 : 127
  const extended = Buffer.alloc(8)
  extended.writeBigUInt64BE(length)
  const key = Buffer.alloc(4)
  key.writeUInt32BE(mask)
  for (let i = 0; isMasked && i < data.length; i++) data[i] = Number(data[i]) ^ Number(key[i % 4])
  return Buffer.concat([
    Buffer.from([(fin ? 0x80 : 0) | (reserved << 4) | opcode, (isMasked ? 0x80 : 0) | short]),
    lengthBytes === 0 ? Buffer.alloc(0) : extended.subarray(8 - lengthBytes),
    isMasked ? key : Buffer.alloc(0),
    data,
  ])
}

/** The expected outcome: responses and pongs in any order, then a close code or an open connection. */
interface Expected {
  readonly texts: number
  readonly calls: number
  readonly pongs: readonly string[]
  /** `open`: the server reads the next frame; `waiting`: the server waits for the rest of a frame. */
  readonly end: number | 'open' | 'waiting'
}

// An independent implementation of RFC 6455 section 5 and of the limits of the wire contract.
function judge(bytes: Buffer): Expected {
  const pongs: string[] = []
  let [texts, calls, at] = [0, 0, 0]
  let message: { readonly opcode: number; readonly parts: Buffer[]; size: number } | undefined
  const ends = (end: Expected['end']): Expected => ({ texts, calls, pongs, end })
  while (at < bytes.length) {
    if (bytes.length - at < 2) return ends('waiting')
    const [first, second] = [bytes.readUInt8(at), bytes.readUInt8(at + 1)]
    at += 2
    const [fin, opcode, short] = [(first & 0x80) !== 0, first & 0x0f, second & 0x7f]
    const isControl = opcode >= CLOSE
    if ((first & 0x70) !== 0 || (second & 0x80) === 0) return ends(1002)
    if (![CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG].includes(opcode)) return ends(1002)
    if (isControl && (!fin || short > 125 || (opcode === CLOSE && short === 1))) return ends(1002)
    if (!isControl && (opcode === CONTINUATION) === (message === undefined)) return ends(1002)
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
    if (bytes.length - at < lengthBytes) return ends('waiting')
    const length =
      lengthBytes === 0 ? BigInt(short) : lengthBytes === 2 ? BigInt(bytes.readUInt16BE(at)) : bytes.readBigUInt64BE(at)
    at += lengthBytes
    if (!isControl && BigInt(message?.size ?? 0) + length > LARGEST_MESSAGE) return ends(1009)
    const size = Number(length)
    if (bytes.length - at < 4 + size) return ends('waiting')
    const key = bytes.subarray(at, at + 4)
    const data = Buffer.from(bytes.subarray(at + 4, at + 4 + size).map((byte, i) => byte ^ Number(key[i % 4])))
    at += 4 + size
    if (opcode === PING) pongs.push(data.toString('latin1'))
    else if (opcode === CLOSE) return ends(closeCode(data))
    else if (!isControl) {
      message ??= { opcode, parts: [], size: 0 }
      message.parts.push(data)
      message.size += size
      if (message.parts.length > MOST_FRAGMENTS) return ends(1008)
      if (!fin) continue
      const whole = Buffer.concat(message.parts)
      if (message.opcode === BINARY) return ends(1003)
      if (!isUtf8(whole)) return ends(1007)
      message = undefined
      texts++
      if (isCall(whole.toString())) calls++
    }
  }
  return ends('open')
}

function isCall(text: string): boolean {
  try {
    const { jsonrpc, method, id, params = {} } = JSON.parse(text)
    return jsonrpc === '2.0' && method === 'ping' && id === 1 && typeof params === 'object' && params !== null
  } catch {
    return false
  }
}

function closeCode(data: Buffer): number {
  if (data.length === 0) return 1005
  const code = data.readUInt16BE(0)
  const isRight = (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code < 5000)
  if (!isRight) return 1002
  return isUtf8(data.subarray(2)) ? code : 1007
}

/** Parses the frames of the server; throws unless they are final, unmasked and of a known kind. */
class ServerFrames {
  readonly texts: string[] = []
  readonly pongs: string[] = []
  closed: number | undefined
  #rest: Buffer = Buffer.alloc(0)

  read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    for (;;) {
      if (this.#rest.length < 2) return
      const [first, second] = [this.#rest.readUInt8(0), this.#rest.readUInt8(1)]
      const extended = second === 126 ? 2 : second === 127 ? 8 : 0
      if (this.#rest.length < 2 + extended) return
      const size =
        extended === 0 ? second : extended === 2 ? this.#rest.readUInt16BE(2) : Number(this.#rest.readBigUInt64BE(2))
      const end = 2 + extended + size
      if (this.#rest.length < end) return
      const data = this.#rest.subarray(2 + extended, end)
      this.#rest = this.#rest.subarray(end)
      if (this.closed !== undefined) throw new Error('a frame after the close frame')
      if (first === (0x80 | TEXT)) this.texts.push(data.toString())
      else if (first === (0x80 | PONG)) this.pongs.push(data.toString('latin1'))
      else if (first === (0x80 | CLOSE)) this.closed = size === 0 ? 1005 : data.readUInt16BE(0)
      else if (first !== (0x80 | PING)) throw new Error(`a frame that begins with ${first}`)
    }
  }
}

const END = 'the end of the fuzzing'
const endPing = encode({
  fin: true,
  reserved: 0,
  opcode: PING,
  isMasked: true,
  mask: 0,
  payload: END,
  lengthBytes: 0,
  claimed: undefined,
  times: 1,
})

/** Sends bytes after a handshake; resolves when the server has closed or has read all of them. */
function talk(port: number, handshake: string, bytes: Buffer, cutAt: readonly number[], end: Expected['end']) {
  return new Promise<ServerFrames>((resolve, reject) => {
    const frames = new ServerFrames()
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let head: Buffer | undefined = Buffer.alloc(0)
    let pings = 0
    const ping = () => {
      pings++
      socket.write(endPing)
    }
    socket.on('connect', () => socket.write(handshake))
    socket.on('data', (chunk) => {
      try {
        if (head) {
          head = Buffer.concat([head, chunk])
          const at = head.indexOf('\r\n\r\n')
          if (at < 0) return
          frames.read(head.subarray(at + 4))
          head = undefined
          void send(socket, bytes, cutAt).then(() =>
            end === 'open' ? ping() : end === 'waiting' ? socket.end() : undefined,
          )
        } else frames.read(chunk)
        if (frames.closed !== undefined) socket.end()
        const answered = frames.pongs.filter((text) => text === END).length
        // Asynchronous responses arrive after the first pong, but before the second.
        if (answered === 2) socket.destroy()
        else if (answered === pings && pings === 1) ping()
      } catch (error) {
        reject(error)
        socket.destroy()
      }
    })
    socket.on('error', () => undefined) // `close` follows
    socket.on('close', () => resolve(frames))
  })
}

async function send(socket: Socket, bytes: Buffer, cutAt: readonly number[]): Promise<void> {
  const places = [0, ...cutAt.map((part) => Math.floor(part * bytes.length)).sort((a, b) => a - b), bytes.length]
  for (const [i, end] of places.slice(1).entries()) {
    socket.write(bytes.subarray(places[i], end))
    await new Promise((done) => setImmediate(done)) // the server reads this piece first
  }
}

const traffic = fc.record({
  frames: fc.oneof(
    { arbitrary: fc.array(frame, { minLength: 1, maxLength: 6 }), weight: 4 },
    { arbitrary: fragmented, weight: 1 },
  ),
  edits: fc.oneof(
    { arbitrary: fc.constant<Edit[]>([]), weight: 4 },
    { arbitrary: fc.array(edit, { maxLength: 2 }), weight: 1 },
  ),
  cuts,
})

describe('any frames', FUZZ_TIMEOUT, () => {
  it('get the responses of RFC 6455, or close their own connection and no other', async () => {
    const { server, endpoint, connect } = await startServer({ methods })
    const other = await connect()
    await check(
      100,
      fc.asyncProperty(traffic, async ({ frames, edits, cuts }) => {
        const sent = frames.flatMap((frame) => Array.from({ length: frame.times }, () => encode(frame)))
        const text = edits.reduce(edited, Buffer.concat(sent).toString('latin1'))
        const bytes = Buffer.from(text, 'latin1')
        const expected = judge(bytes)
        const received = await talk(server.port, bytesOf(upgradeRequest(endpoint)), bytes, cuts, expected.end)
        expect(await other.callAny('ping')).toEqual(['pong'])
        if (expected.pongs.length > MOST_PINGS && received.closed === undefined) return
        expect(received.pongs.filter((text) => text !== END)).toEqual(expected.pongs)
        if (typeof expected.end === 'number') expect(received.closed).toBe(expected.end)
        expect(received.texts.length).toBeLessThanOrEqual(expected.texts) // an edited call may have become a notification
        if (expected.end === 'open') {
          expect(received.closed).toBeUndefined()
          expect(received.texts.filter((text) => text === RESPONSE).length).toBe(expected.calls)
        }
      }),
    )
    expect(await (await connect()).callAny('ping')).toEqual(['pong'])
  })
})
