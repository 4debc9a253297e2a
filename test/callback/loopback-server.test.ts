// The servers behind the callback: which addresses they listen on, and how many connections they accept.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { listenOnLoopback } from '../../src/callback/loopback-server.ts'

async function listen(host: '127.0.0.1' | 'localhost', port = 0) {
  const loopback = await listenOnLoopback(host, port)
  onTestFinished(() => {
    for (const server of loopback.servers) {
      server.close()
      server.closeAllConnections()
    }
  })
  return loopback
}

const addresses = (servers: readonly Server[]) => servers.map((server) => (server.address() as AddressInfo).address)

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** Sends a request, and resolves with the response, or '' if the connection is closed without one. */
async function request(socket: Socket): Promise<string> {
  let response = ''
  socket.on('data', (chunk) => {
    response += chunk
  })
  const closed = once(socket, 'close')
  socket.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n')
  await closed
  return response
}

test('127.0.0.1 stands for itself alone', async () => {
  const { servers, port } = await listen('127.0.0.1')
  expect(addresses(servers)).toEqual(['127.0.0.1'])
  for (const server of servers) expect((server.address() as AddressInfo).port).toBe(port)
})

test('localhost stands for both loopback addresses, on one port', async () => {
  const { servers, port } = await listen('localhost')
  expect(addresses(servers)).toEqual(['127.0.0.1', '::1'])
  for (const server of servers) expect((server.address() as AddressInfo).port).toBe(port)
})

test.each(['127.0.0.1', '::1'])(
  'fails if another program has the port on %s, and releases the other',
  async (taken) => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, taken, resolve))
    onTestFinished(() => void other.close())
    const { port } = other.address() as AddressInfo
    await expect(listenOnLoopback('localhost', port)).rejects.toMatchObject({ code: 'EADDRINUSE' })
    const free = createServer()
    await new Promise<void>((resolve, reject) => {
      free.once('error', reject)
      free.listen(port, taken === '::1' ? '127.0.0.1' : '::1', resolve)
    })
    free.close()
  },
)

test('accepts 64 connections at once and closes the next one without a response', async () => {
  const { servers, port } = await listen('127.0.0.1')
  servers[0]?.on('request', (_request, response) => response.end('answered'))
  for (let n = 0; n < 63; n++) await open(port)
  const last = await open(port)
  expect(await request(await open(port))).toBe('')
  expect(await request(last)).toContain('answered')
})
