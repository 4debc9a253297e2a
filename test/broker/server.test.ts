// The broker's own HTTP server: slow clients, malformed and oversized requests, and an orderly end.
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { REQUEST_TIMEOUTS, type RequestTimeouts, serveBroker } from '../../src/broker/server.ts'
import { systemClock } from '../../src/host/clock.ts'
import { newBrokerWorld, startBroker } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'
import { sendRaw } from '../support/raw.ts'
import { newSandbox } from '../support/world.ts'

const HOUR = 3600 // s

async function start(timeouts?: RequestTimeouts) {
  const { url } = await startBroker(await newSandbox(), {}, timeouts)
  return { url, port: Number(new URL(url).port) }
}

const isHealthy = async (url: string) => (await (await fetch(`${url}/livez`)).text()) === 'ok'

describe('the broker’s server', () => {
  it.each(['/livez', '/healthz'])('answers ok on %s', async (path) => {
    const { url } = await start()
    const response = await fetch(`${url}${path}`)
    expect({ status: response.status, body: await response.text() }).toEqual({ status: 200, body: 'ok' })
  })

  it('answers 404 to an unknown path', async () => {
    const { url } = await start()
    expect((await fetch(`${url}/`)).status).toBe(404)
  })

  it.each(['/x/../api/auth/refresh', '/api/auth/./refresh', '//api/auth/refresh', '/api\\auth\\refresh'])(
    'answers 404 to %s, which a URL parser would rewrite to a route',
    async (path) => {
      const { port } = await start()
      const { status } = await sendRaw(port, `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      expect(status).toBe(404)
    },
  )

  it('answers 413 to a body of a megabyte', async () => {
    const { url } = await start()
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ a: 'x'.repeat(1_000_000) })
    expect((await fetch(`${url}/api/auth/refresh`, { method: 'POST', headers, body })).status).toBe(413)
  })

  it.each(['TRACE', 'M-SEARCH'])('answers 405 to %s, a method that Fetch does not allow', async (method) => {
    const { port } = await start()
    const bytes = `${method} /api/auth/refresh HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`
    expect((await sendRaw(port, bytes)).status).toBe(405)
  })

  it('closes the connection on CONNECT, and serves others', async () => {
    const { url, port } = await start()
    await sendRaw(port, 'CONNECT /api/auth/refresh HTTP/1.1\r\nHost: x\r\n\r\n').catch(() => undefined)
    expect(await isHealthy(url)).toBe(true)
  })
})

describe('with as many connections as the server allows', () => {
  const MOST = 5

  it('closes those without a request, and keeps the one that has just come', async () => {
    const broker = async () => new Response('{}')
    const options = { host: '127.0.0.1', port: 0, clock: systemClock, maxConnections: MOST }
    const server = await serveBroker(broker, options)
    onTestFinished(() => server.close())
    const open = async () => {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
      onTestFinished(() => void socket.destroy())
      socket.on('error', () => undefined)
      await once(socket, 'connect')
      return socket
    }
    const ask = async (socket: Awaited<ReturnType<typeof open>>) => {
      socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')
      return String((await once(socket, 'data'))[0]).split('\r\n')[0]
    }
    const kept = await Promise.all(Array.from({ length: MOST - 1 }, open))
    const closed = kept.map((socket) => once(socket, 'close'))
    for (const socket of kept) expect(await ask(socket)).toBe('HTTP/1.1 200 OK')
    const latest = await open()
    await Promise.all(closed)
    expect(await ask(latest)).toBe('HTTP/1.1 200 OK')
    expect(await isHealthy(server.url)).toBe(true)
  })
})

describe('a client that is too slow gets 408 and is disconnected', () => {
  it('if it does not complete its headers in time', async () => {
    const { port } = await start({ headers: 0.1, request: HOUR, checkInterval: 0.05 })
    expect((await sendRaw(port, 'POST /api/auth/refresh HTTP/1.1\r\nHost:')).status).toBe(408)
  })

  it('if it does not complete its body in time', async () => {
    const { port } = await start({ headers: 0.1, request: 0.1, checkInterval: 0.05 })
    const headers = 'Host: x\r\nContent-Type: application/json\r\nContent-Length: 100'
    expect((await sendRaw(port, `POST /api/auth/refresh HTTP/1.1\r\n${headers}\r\n\r\n{`)).status).toBe(408)
  })

  it('after 5 s for the headers and 10 s for the whole request, checked each second, by default', () => {
    expect(REQUEST_TIMEOUTS).toEqual({ headers: 5, request: 10, checkInterval: 1 })
  })
})

describe('the end of the broker’s server', () => {
  it('ends the connection of a request that takes longer than ten seconds', async () => {
    const clock = new TestClock()
    let received: () => void = () => undefined
    const running = new Promise<void>((resolve) => {
      received = resolve
    })
    const neverAnswers = () => {
      received()
      return new Promise<Response>(() => undefined)
    }
    const server = await serveBroker(neverAnswers, { host: '127.0.0.1', port: 0, clock })
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => undefined).write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
    await running
    const disconnected = once(socket, 'close')
    const closed = server.close()
    clock.advance(9.9)
    expect(socket.destroyed).toBe(false)
    clock.advance(0.2)
    await closed
    await disconnected
  })

  it('does not wait for a client whose body was too large', async () => {
    const server = await serveBroker((await newBrokerWorld()).broker, {
      host: '127.0.0.1',
      port: 0,
      clock: new TestClock(), // its ten seconds never pass
    })
    const body = JSON.stringify({ a: 'x'.repeat(1_000_000) })
    const headers = { 'content-type': 'application/json' }
    expect((await fetch(`${server.url}/api/auth/refresh`, { method: 'POST', headers, body })).status).toBe(413)
    await server.close()
  })

  it('fails to start if the port is in use', async () => {
    const { port } = await start()
    const { broker } = await newBrokerWorld()
    const outcome = serveBroker(broker, { host: '127.0.0.1', port, clock: new TestClock() })
    await expect(outcome).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })
})
