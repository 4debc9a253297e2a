// A client that proves itself and then sends whatever bytes a scenario likes, reading only when it is told to.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { systemRandom } from '../../src/host/random.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { authorization, SUBPROTOCOL } from '../../src/rpc/handshake.ts'
import { discoveryFile } from './daemon.ts'

export interface RawClient {
  readonly socket: Socket
  /** The first text or close frame that comes; `gone` where the connection ends without one. */
  next(): Promise<string>
  /** Sends as fast as the peer reads. @returns false where it has read nothing for a while, or has hung up */
  send(data: Buffer): Promise<boolean>
}

export const portOf = ({ endpoint }: Endpoint) => Number(endpoint.split(':')[1])

export function endpointOf(home: string): Endpoint {
  return JSON.parse(readFileSync(discoveryFile(home), 'utf8')) as Endpoint
}

const STALLED_MS = 2000
export const TEXT = 1
const CLOSE = 8

export async function openRaw(endpoint: Endpoint): Promise<RawClient> {
  const socket = connect(portOf(endpoint), '127.0.0.1')
  socket.on('error', () => undefined)
  const lines = [
    `GET ${endpoint.path} HTTP/1.1`,
    `Host: ${endpoint.endpoint}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    `Sec-WebSocket-Protocol: ${SUBPROTOCOL}`,
    `Authorization: ${authorization(endpoint, systemRandom).value}`,
  ]
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  if (!answer.toString('latin1').startsWith('HTTP/1.1 101 ')) throw new Error('the handshake was refused')
  socket.pause()
  return {
    socket,
    next: () => firstFrame(socket),
    send: (data) =>
      new Promise((resolve) => {
        if (socket.destroyed) return resolve(false)
        const late = setTimeout(() => settle(false), STALLED_MS)
        const gone = () => settle(false)
        const settle = (read: boolean) => {
          clearTimeout(late)
          socket.off('close', gone)
          resolve(read)
        }
        socket.once('close', gone)
        socket.write(data, (error) => settle(!error))
      }),
  }
}

/** One frame as a client has to send it; masked with zeros, so that its bytes stay what they are. */
export function frame(opcode: number, payload: Buffer | string, { fin = true, masked = true } = {}): Buffer {
  const data = Buffer.from(payload)
  const first = (fin ? 0x80 : 0) | opcode
  const mask = masked ? 0x80 : 0
  const head =
    data.length < 126
      ? Buffer.from([first, mask | data.length])
      : data.length < 65_536
        ? Buffer.from([first, mask | 126, data.length >> 8, data.length & 0xff])
        : lengthOf64(first, mask, BigInt(data.length))
  return Buffer.concat([head, masked ? Buffer.alloc(4) : Buffer.alloc(0), data])
}

/** The head of a frame that promises so many bytes. */
export function lengthOf64(first: number, mask: number, length: bigint): Buffer {
  const head = Buffer.alloc(10)
  head[0] = first
  head[1] = mask | 127
  head.writeBigUInt64BE(length, 2)
  return head
}

/** What the server says, in words: an RPC error's code, `result`, or `close CODE`. */
function firstFrame(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0)
    const end = (what: string) => {
      socket.off('data', look)
      socket.off('close', gone)
      resolve(what)
    }
    const gone = () => end('gone')
    const look = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      for (;;) {
        const found = takeFrame(bytes)
        if (!found) return
        bytes = bytes.subarray(found.size)
        if (found.opcode === CLOSE)
          return end(`close ${found.payload.length >= 2 ? found.payload.readUInt16BE(0) : ''}`)
        if (found.opcode !== TEXT) continue
        const message = JSON.parse(found.payload.toString('utf8'))
        if (message.method === undefined) return end(message.error ? String(message.error.code) : 'result')
      }
    }
    if (socket.destroyed) return gone()
    socket.on('close', gone)
    socket.on('data', look)
    socket.resume()
  })
}

/** The first whole frame of what the server has sent. */
export function takeFrame(bytes: Buffer): { size: number; opcode: number; payload: Buffer } | undefined {
  if (bytes.length < 2) return undefined
  const short = Number(bytes[1]) & 0x7f
  const head = short === 127 ? 10 : short === 126 ? 4 : 2
  if (bytes.length < head) return undefined
  const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short
  if (bytes.length < head + length) return undefined
  return { size: head + length, opcode: Number(bytes[0]) & 0x0f, payload: bytes.subarray(head, head + length) }
}
