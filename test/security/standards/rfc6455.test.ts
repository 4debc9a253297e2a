// RFC 6455, The WebSocket Protocol, and OWASP's WebSocket Security Cheat Sheet: frames on a connection that has passed the handshake.
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bytesOf, startServer, upgradeRequest } from '../../support/rpc.ts'

const MASK = '00000000'

/** Sends bytes after the handshake; returns what the server sent until it closed, and its close code if that came first. */
async function sendFrames(...frames: (string | Buffer)[]): Promise<{ code: number | undefined; hex: string }> {
  const { server, endpoint } = await startServer()
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => undefined)
  const chunks: Buffer[] = []
  socket.on('data', (data: Buffer) => chunks.push(data))
  socket.write(bytesOf(upgradeRequest(endpoint)))
  await once(socket, 'data')
  const head = Buffer.concat(chunks)
  chunks.splice(0, chunks.length, head.subarray(head.indexOf('\r\n\r\n') + 4))
  socket.write(Buffer.concat(frames.map((one) => (typeof one === 'string' ? Buffer.from(one, 'hex') : one))))
  await once(socket, 'close')
  const received = Buffer.concat(chunks)
  const isClose = received[0] === 0x88 && (received[1] ?? 0) >= 2
  return { code: isClose ? received.readUInt16BE(2) : undefined, hex: received.toString('hex') }
}

function masked(opcode: number, size: number, payload = Buffer.alloc(size)): Buffer {
  const length = size < 126 ? [0x80 | size] : [0xfe, size >> 8, size & 255]
  return Buffer.concat([Buffer.from([opcode, ...length]), Buffer.from(MASK, 'hex'), payload])
}

describe('RFC 6455', () => {
  it('[6455-1] closes with 1002 after an unmasked frame', async () => {
    expect((await sendFrames('810161')).hex).toBe('880203ea')
  })

  it.each([
    ['of more than 125 bytes', masked(0x89, 126)],
    ['that is fragmented', masked(0x09, 1)],
  ])('[6455-2] closes with 1002 after a control frame %s', async (_which, frame) => {
    expect((await sendFrames(frame)).code).toBe(1002)
  })

  it('[6455-3] closes with 1007 after invalid UTF-8', async () => {
    expect((await sendFrames(masked(0x81, 2, Buffer.from('c328', 'hex')))).hex).toBe('880203ef')
  })

  it('[6455-4] closes with 1009 after the head of a frame of 2^62 bytes', async () => {
    expect((await sendFrames(`81ff4000000000000000${MASK}`)).hex).toBe('880203f1')
  })

  it.each([0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000])(
    '[6455-6] closes with 1002 after the close code %i',
    async (code) => {
      expect((await sendFrames(masked(0x88, 2, Buffer.from([code >> 8, code & 255])))).code).toBe(1002)
    },
  )

  it.each([
    ['RSV1 without an extension', masked(0xc1, 1)],
    ['RSV2', masked(0xa1, 1)],
    ['RSV3', masked(0x91, 1)],
    ['opcode 3', masked(0x83, 1)],
    ['opcode 11', masked(0x8b, 1)],
    ['a continuation of nothing', masked(0x80, 1)],
    ['a message within a message', Buffer.concat([masked(0x01, 1), masked(0x81, 1)])],
    ['a close frame of one byte', masked(0x88, 1)],
  ])('[6455-6] closes with 1002 after %s', async (_what, frame) => {
    expect((await sendFrames(frame)).code).toBe(1002)
  })
})

describe('OWASP’s WebSocket cheat sheet', () => {
  it('[OWASP-compression] does not negotiate compression', async () => {
    const { endpoint, server } = await startServer()
    const request = upgradeRequest(endpoint)
    request.headers.push(['Sec-WebSocket-Extensions', 'permessage-deflate'])
    const socket = connect(server.port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.write(bytesOf(request))
    const [response] = (await once(socket, 'data')) as [Buffer]
    expect(response.toString()).toMatch(/^HTTP\/1\.1 101 /)
    expect(response.toString()).not.toMatch(/extensions/i)
  })

  it('[OWASP-parsing] treats a message of JavaScript as invalid JSON, and does not run it', async () => {
    const { endpoint, server } = await startServer()
    const socket = connect(server.port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.write(bytesOf(upgradeRequest(endpoint)))
    await once(socket, 'data')
    const script = `{"jsonrpc":"2.0","id":1,"method":(globalThis.wasRun=true,"x")}`
    socket.write(masked(0x81, script.length, Buffer.from(script)))
    const [response] = (await once(socket, 'data')) as [Buffer]
    expect(JSON.parse(response.subarray(2).toString())).toMatchObject({ id: null, error: { code: -32700 } })
    expect(globalThis).not.toHaveProperty('wasRun')
  })
})
