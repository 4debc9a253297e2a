// A client that authenticates, then sends any bytes, and reads only on demand.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { systemClock } from '../../src/host/clock.ts'
import { systemRandom } from '../../src/host/random.ts'
import { withTimeout } from '../../src/host/timeout.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { authorization, SUBPROTOCOL } from '../../src/rpc/handshake.ts'

export interface RawClient {
  readonly socket: Socket
  /** The next response or close frame; `gone` if the connection ends without one. */
  next(): Promise<string>
  /** Sends as fast as the daemon reads. Returns false if the daemon stops reading or closes the connection. */
  send(data: Buffer): Promise<boolean>
}

export const portOf = ({ endpoint }: Endpoint) => Number(endpoint.split(':')[1])

export function discoveryFile(home: string): string {
  return join(home, 'data', 'endpoint.json')
}

export function endpointOf(home: string): Endpoint {
  return JSON.parse(readFileSync(discoveryFile(home), 'utf8')) as Endpoint
}

const STALLED_SECONDS = 2
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
      withTimeout(
        systemClock,
        STALLED_SECONDS,
        write(socket, data),
        () => new Error('the daemon stopped reading'),
      ).then(
        () => true,
        () => false,
      ),
  }
}

/** Resolves when the kernel has taken the data; rejects if the connection is closed before. */
function write(socket: Socket, data: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.destroyed) return reject(new Error('the connection is closed'))
    const onClose = () => reject(new Error('the connection was closed'))
    socket.once('close', onClose)
    socket.write(data, (error) => {
      socket.off('close', onClose)
      if (error) reject(error)
      else resolve()
    })
  })
}

/** A frame from a client; masked with zeros, so that its bytes do not change. */
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

/** The head of a frame that announces this many bytes. */
export function lengthOf64(first: number, mask: number, length: bigint): Buffer {
  const head = Buffer.alloc(10)
  head[0] = first
  head[1] = mask | 127
  head.writeBigUInt64BE(length, 2)
  return head
}

/** The next response in short: the code of an RPC error, `result`, `close CODE`, or `gone`. */
function firstFrame(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0)
    const end = (response: string) => {
      socket.off('data', onData)
      socket.off('close', onClose)
      resolve(response)
    }
    const onClose = () => end('gone')
    const onData = (chunk: Buffer) => {
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
    if (socket.destroyed) return onClose()
    socket.on('close', onClose)
    socket.on('data', onData)
    socket.resume()
  })
}

/** Takes the first complete frame from the received bytes. */
export function takeFrame(bytes: Buffer): { size: number; opcode: number; payload: Buffer } | undefined {
  if (bytes.length < 2) return undefined
  const short = Number(bytes[1]) & 0x7f
  const head = short === 127 ? 10 : short === 126 ? 4 : 2
  if (bytes.length < head) return undefined
  const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short
  if (bytes.length < head + length) return undefined
  return { size: head + length, opcode: Number(bytes[0]) & 0x0f, payload: bytes.subarray(head, head + length) }
}
