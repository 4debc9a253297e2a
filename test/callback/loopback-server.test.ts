// The servers behind the callback: which addresses they listen on, and how long they wait for a request.
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

test('closes a connection that sends no request, or only a part of one, after some five seconds', async () => {
  const { port, servers } = await listen('127.0.0.1')
  const timeouts: unknown[] = []
  for (const server of servers) {
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      timeouts.push(error.code)
      socket.destroy()
    })
  }
  const [silent, slow] = [await open(port), await open(port)]
  slow.write('GET / HTTP/1.1\r\nHost: ')
  await Promise.all([once(silent, 'close'), once(slow, 'close')])
  expect(timeouts).toEqual(['ERR_HTTP_REQUEST_TIMEOUT', 'ERR_HTTP_REQUEST_TIMEOUT'])
  for (const server of servers) expect(server).toMatchObject({ headersTimeout: 5000, requestTimeout: 5000 })
})
