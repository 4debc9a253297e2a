// The places of the callback listener: who gets one, and who gives way.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Connections } from '../../src/callback/connections.ts'
import type { SocketOwner } from '../../src/host/socket-owner.ts'
import { TestClock } from '../support/clock.ts'

const PLACES = 64

/** A server with these places. `open` resolves when the server knows the connection and its owner. */
async function newServer() {
  const clock = new TestClock()
  const state = { owner: 'own' as SocketOwner, evictions: 0 }
  const server = createServer((request, response) => {
    if (request.url !== '/held') response.end('answered')
  })
  const connections = new Connections({
    clock,
    socketOwner: async () => state.owner,
    onEvicted: () => {
      state.evictions += 1
    },
  })
  connections.watch(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  async function open(owner: SocketOwner = 'own'): Promise<Socket> {
    state.owner = owner
    const accepted = once(server, 'connection')
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    onTestFinished(() => void socket.destroy())
    const [accepting] = (await accepted) as [Socket]
    await connections.ownerOf(accepting)
    return socket
  }
  const openMany = async (count: number, owner: SocketOwner = 'own') => {
    const sockets: Socket[] = []
    for (let n = 0; n < count; n++) sockets.push(await open(owner))
    return sockets
  }
  return { clock, state, server, open, openMany, grace: () => clock.advance(0.2) }
}

function send(socket: Socket, target = '/'): void {
  socket.write(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`)
}

/** Sends a request, and resolves with the response, or '' if the connection is closed without one. */
async function request(socket: Socket): Promise<string> {
  let response = ''
  socket.on('data', (chunk) => {
    response += chunk
  })
  const closed = once(socket, 'close')
  send(socket)
  await closed
  return response
}

describe('64 connections that send nothing', () => {
  test('keep no browser out: the oldest gives way, and each gives way once', async () => {
    const { open, openMany, state, grace } = await newServer()
    const sockets = await openMany(PLACES)
    grace()
    const closed = once(sockets[0] as Socket, 'close')
    expect(await request(await open())).toContain('answered')
    await closed
    expect(state.evictions).toBe(1)
    expect(await request(sockets[1] as Socket)).toContain('answered')
  })

  test('give way before one whose request is being answered, although that is older', async () => {
    const { server, open, openMany, state, grace } = await newServer()
    const held = await open()
    const requested = once(server, 'request')
    send(held, '/held')
    const [, response] = await requested
    const [oldest] = await openMany(PLACES - 1)
    grace()
    const closed = once(oldest as Socket, 'close')
    await open()
    await closed
    expect(state.evictions).toBe(1)
    let body = ''
    held.on('data', (chunk) => {
      body += chunk
    })
    response.end('at last')
    await once(held, 'close')
    expect(body).toContain('at last')
  })

  test('keep their places for as long as their requests may not have been read, up to 640', async () => {
    const { open, openMany, state } = await newServer()
    const first = await open()
    await openMany(639)
    expect(state.evictions).toBe(0)
    const closed = once(first, 'close')
    await open()
    await closed
    expect(state.evictions).toBe(1)
  })
})

describe('connections of another user', () => {
  test('have eight places: the oldest of them gives way, and never one of the user', async () => {
    const { open, openMany, state } = await newServer()
    const own = await openMany(PLACES - 8)
    const others = await openMany(8, 'other')
    const closed = once(others[0] as Socket, 'close')
    const last = await open('other')
    await closed
    expect(await request(last)).toContain('answered') // the listener shows a page
    for (const socket of own) expect(await request(socket)).toContain('answered')
    expect(state.evictions).toBeGreaterThan(0)
  })

  test('give way to the user before older ones of the user', async () => {
    const { open, openMany } = await newServer()
    const own = await openMany(PLACES - 4)
    const others = await openMany(4, 'other')
    const closed = once(others[0] as Socket, 'close')
    const late = await open()
    await closed
    for (const socket of [...own, late]) expect(await request(socket)).toContain('answered')
  })

  test('have a second for their request', async () => {
    const { clock, open } = await newServer()
    const [own, other] = [await open(), await open('other')]
    const closed = once(other, 'close')
    clock.advance(1)
    await closed
    expect(await request(own)).toContain('answered')
  })
})
