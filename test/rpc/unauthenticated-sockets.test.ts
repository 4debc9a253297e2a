// Sockets that have not proven themselves: how long and how many the daemon keeps.
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { TestClock } from '../support/clock.ts'
import { isWine, wineLacks } from '../support/posix.ts'
import { bytesOf, startServer, upgradeRequest } from '../support/rpc.ts'

describe('unauthenticated sockets', () => {
  it('closes a socket after two seconds without a complete request', async () => {
    const clock = new TestClock()
    const { endpoint, server, connect } = await startServer({ clock })
    const half = bytesOf(upgradeRequest(endpoint)).slice(0, -2)
    const sockets = ['', half].map((text) => {
      const socket = connectSocket(server.port, '127.0.0.1').resume()
      socket.write(text)
      return socket
    })
    const closed = sockets.map((socket) => once(socket, 'close'))
    await connect() // accepted after the others
    clock.advance(1.5)
    await connect()
    expect(sockets.some(({ destroyed }) => destroyed)).toBe(false)
    clock.advance(0.5)
    await Promise.all(closed)
  })

  it('[B8] holds 256 unauthenticated sockets and destroys the oldest to accept one more', async () => {
    const { server, connect } = await startServer({ clock: new TestClock() })
    const open = () => connectSocket(server.port, '127.0.0.1').resume()
    const oldest = open()
    await once(oldest, 'connect')
    const closed = once(oldest, 'close')
    const others = Array.from({ length: 255 }, open)
    await Promise.all(others.map((socket) => once(socket, 'connect')))
    const newest = open()
    await closed
    expect([...others, newest].filter(({ destroyed }) => destroyed)).toEqual([])
    expect((await connect()).endpoint.endpoint).toBe(`127.0.0.1:${server.port}`)
    for (const socket of [...others, newest]) socket.destroy()
  })

  it.skipIf(isWine)(
    `serves the owner while another process opens a thousand sockets${wineLacks('sockets that open in less than milliseconds')}`,
    async () => {
      const { server, connect } = await startServer()
      const sockets = Array.from({ length: 1000 }, () =>
        connectSocket(server.port, '127.0.0.1').on('error', () => undefined),
      )
      const client = await connect()
      expect(client.endpoint.endpoint).toBe(`127.0.0.1:${server.port}`)
      for (const socket of sockets) socket.destroy()
    },
  )
})
