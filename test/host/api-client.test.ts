// The requests of a server to an API: kept connections, real aborts, one more attempt on a connection that was just closed.
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ApiClient } from '../../src/host/api-client.ts'

async function newWorld(listener: RequestListener, maxBytes = 1000) {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  let opened = 0
  let open = 0
  server.on('connection', (socket) => {
    opened++
    open++
    socket.once('close', () => open--)
  })
  const client = new ApiClient({ maxConnections: 2, maxBytes })
  onTestFinished(async () => {
    client.close()
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  })
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/x`)
  const send = (signal = new AbortController().signal, body?: string) =>
    client.send({ url, method: 'POST', headers: { accept: 'application/json' }, body, signal })
  return { server, send, opened: () => opened, open: () => open }
}

describe('the client of an API', () => {
  it('keeps its connections, and opens no more than it may', async () => {
    const { send, opened } = await newWorld((request, response) => request.pipe(response))
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => send(undefined, String(n))))
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(answers.map((_, n) => `200 ${n}`))
    await send()
    expect(opened()).toBe(2)
  })

  it('closes the connection of an aborted request, whether its response has begun or not', async () => {
    for (const begins of [true, false]) {
      const { server, send, open } = await newWorld((_request, response) => void (begins && response.write('x')))
      const abort = new AbortController()
      const arrived = once(server, 'request')
      const sent = send(abort.signal)
      await arrived
      abort.abort()
      await expect(sent).rejects.toThrow()
      await expect.poll(open).toBe(0)
    }
  })

  it('takes an aborted request that waits for a connection out of the queue', async () => {
    const { server, send } = await newWorld(() => undefined)
    let arrivals = 0
    server.on('request', () => arrivals++)
    const aborts = [1, 2, 3].map(() => new AbortController())
    const sent = aborts.map(({ signal }) => send(signal).catch(() => 'aborted'))
    await expect.poll(() => arrivals).toBe(2)
    for (const abort of aborts.toReversed()) abort.abort()
    expect(await Promise.all(sent)).toEqual(['aborted', 'aborted', 'aborted'])
    expect(arrivals).toBe(2)
  })

  it('sends a request again if the server has just closed the kept connection, and only once', async () => {
    let requests = 0
    const { send } = await newWorld((_request, response) => {
      requests++
      if (requests === 2) response.destroy()
      else response.end('ok')
    })
    await send()
    expect((await send()).status).toBe(200)
    expect(requests).toBe(3)
  })

  it('does not send a request again that failed on a new connection', async () => {
    let requests = 0
    const { send } = await newWorld((_request, response) => {
      requests++
      response.destroy()
    })
    await expect(send()).rejects.toThrow()
    expect(requests).toBe(1)
  })

  it('refuses a response that is too large', async () => {
    const { send } = await newWorld((_request, response) => response.end('x'.repeat(2000)))
    await expect(send()).rejects.toThrow(RangeError)
  })
})
