// The broker while Clerk hangs, or asks to wait: what is in flight is bounded, nothing stays open, and others are served again.
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { createBroker } from '../../src/broker/broker.ts'
import { Monitor } from '../../src/broker/monitor.ts'
import { serveBroker } from '../../src/broker/server.ts'
import { systemClock } from '../../src/host/clock.ts'
import { brokerOptions, newBroker, newBrokerWorld, tokensPath } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'
import { newSandbox } from '../support/world.ts'

/** A server that accepts every request and answers none but that for the keys, with its time alone. */
async function startSilentServer() {
  const sockets = new Set<Socket>()
  const open: ServerResponse[] = []
  const server = createServer((request, response) => {
    request.resume()
    if (request.url === '/v1/jwks') response.writeHead(200, { connection: 'close' }).end()
    else open.push(response)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, open }
}

it('keeps a bounded number of requests while Clerk hangs, answers 503, and leaves no connection open', async () => {
  const { newRefreshToken, options, key, sandbox } = await newBrokerWorld({ requestsPerMinute: 10_000 })
  const refreshToken = await newRefreshToken()
  const silent = await startSilentServer()
  const monitor = new Monitor()
  const clock = new TestClock(Date.now() / 1000)
  const hanging = { ...options, apiUrl: silent.url, monitor, maxInFlight: 300, clock }
  const { refresh } = newBroker(sandbox, hanging, key)
  let answered = 0
  const requests = Array.from({ length: 600 }, () => refresh(refreshToken).finally(() => answered++))
  await expect.poll(() => [answered, silent.open.length]).toEqual([300, 64])
  clock.advance(5)
  const answers = await Promise.all(requests)
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]))
  for (const { headers, body } of answers) {
    expect(headers.get('retry-after')).toMatch(/^[1-9]/)
    expect(body.error).toBe('temporarily_unavailable')
  }
  expect(silent.open.length).toBeLessThanOrEqual(64 * 2) // those that waited may take the place of those that were aborted
  await expect.poll(() => silent.sockets.size).toBe(0)
  const text = await monitor.metrics.text()
  expect(text).toContain('cadzero_broker_in_flight 0\n')
  expect(text).toContain('cadzero_broker_clerk_in_flight 0\n')
  expect(text).toContain('cadzero_broker_limited_total{limit="load"} 300\n')
  expect(monitor.health().clerk).toBe('degraded')
})

it('answers /livez and /readyz while Clerk hangs', async () => {
  const silent = await startSilentServer()
  const monitor = new Monitor()
  const broker = createBroker({ ...brokerOptions(await newSandbox()), apiUrl: silent.url, monitor })
  broker.start()
  onTestFinished(() => broker.close())
  const server = await serveBroker(broker, { host: '127.0.0.1', port: 0, clock: systemClock, monitor })
  onTestFinished(() => server.close())
  expect((await fetch(`${server.url}/livez`)).status).toBe(200)
  expect(await (await fetch(`${server.url}/readyz`)).json()).toMatchObject({ ready: false, keys: 'missing' })
})

it('sends Clerk nothing while Clerk has asked to wait, and serves other sessions as soon as the time is over', async () => {
  let skipped = 0 // s
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skipped }
  const { sandbox, backend, sessionId, newRefreshToken, refresh, exchange } = await newBrokerWorld({ clock })
  const limited = await newRefreshToken()
  const other = backend.createSession()
  const { body } = await exchange(other, await backend.sessionToken(other))
  sandbox.script(tokensPath(sessionId), { kind: 'respond', status: 429, headers: { 'retry-after': '8' } })
  expect(await refresh(limited)).toMatchObject({ status: 429, body: { error: 'temporarily_unavailable' } })
  const before = sandbox.requests.length
  const refused = await refresh(body.refresh_token)
  expect({ status: refused.status, wait: Number(refused.headers.get('retry-after')) <= 8 }).toEqual({
    status: 429,
    wait: true,
  })
  expect(sandbox.requests.length).toBe(before)
  skipped += 8
  expect((await refresh(body.refresh_token)).status).toBe(200)
  expect((await refresh(limited)).status).toBe(200)
})
