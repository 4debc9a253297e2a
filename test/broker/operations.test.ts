// What the operator's tools ask the broker: whether it lives, whether it is ready, and its metrics.
import { request } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Monitor, type Sources } from '../../src/broker/monitor.ts'
import { type ServeOptions, serveBroker } from '../../src/broker/server.ts'
import { systemClock } from '../../src/host/clock.ts'
import { sendRaw } from '../support/raw.ts'

const HEALTHY: Sources = {
  areKeysLoaded: () => true,
  inFlight: () => 3,
  clerkRunning: () => 2,
  clerkWaiting: () => 1,
  isClerkAvailable: () => true,
  clockOffset: () => 2,
  isClockRight: () => true,
  isRedisUp: () => true,
}

async function start(sources: Partial<Sources> = {}, options: Partial<ServeOptions> = {}) {
  const monitor = new Monitor()
  monitor.watch({ ...HEALTHY, ...sources })
  const broker = async () => new Response('{}')
  const server = await serveBroker(broker, { host: '127.0.0.1', port: 0, clock: systemClock, monitor, ...options })
  onTestFinished(() => server.close())
  const readiness = async () => {
    const response = await fetch(`${server.url}/readyz`)
    return { status: response.status, body: await response.json() }
  }
  return { monitor, server, readiness }
}

const READY = { ready: true, keys: 'loaded', draining: false, clerk: 'ok', redis: 'ok', clock: 'ok' }

describe('/readyz', () => {
  it('says that the broker is ready once Clerk’s keys are loaded', async () => {
    expect(await (await start()).readiness()).toEqual({ status: 200, body: READY })
    const { readiness } = await start({ areKeysLoaded: () => false })
    expect(await readiness()).toEqual({
      status: 503,
      body: { ...READY, ready: false, keys: 'missing', hint: expect.stringContaining('CLERK_API_URL') },
    })
  })

  it('stays ready while Clerk and Redis are down, and says that they are', async () => {
    const { readiness } = await start({ isClerkAvailable: () => false, isRedisUp: () => false })
    const hint = expect.stringMatching(/status\.clerk\.com.*CADZERO_BROKER_REDIS_URL/)
    expect(await readiness()).toEqual({ status: 200, body: { ...READY, clerk: 'degraded', redis: 'degraded', hint } })
  })

  it('says if no Redis is configured', async () => {
    const { readiness } = await start({ isRedisUp: undefined })
    expect(await readiness()).toMatchObject({ body: { redis: 'unused' } })
  })

  it('is not ready from the beginning of the drain', async () => {
    const { readiness, server } = await start()
    await server.drain(0)
    expect(await readiness()).toEqual({ status: 503, body: { ...READY, ready: false, draining: true } })
  })
})

/** Fetch would not send some of these headers. */
const statusOf = (url: string, headers: Record<string, string>) =>
  new Promise<number | undefined>((resolve, reject) => {
    request(url, { headers }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })

describe('/metrics', () => {
  it('are in the text format of Prometheus', async () => {
    const { monitor, server } = await start()
    monitor.metrics.request({ route: 'refresh', status: 200, result: 'ok', seconds: 0.02 })
    monitor.metrics.clerkRequest('mint', '200', 0.01)
    monitor.metrics.limited('user')
    const response = await fetch(`${server.url}/metrics`)
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    const text = await response.text()
    for (const line of [
      'cadzero_broker_requests_total{route="refresh",status="200",result="ok"} 1',
      'cadzero_broker_request_duration_seconds_bucket{le="0.025",route="refresh"} 1',
      'cadzero_broker_clerk_requests_total{operation="mint",result="200"} 1',
      'cadzero_broker_limited_total{limit="user"} 1',
      'cadzero_broker_in_flight 3',
      'cadzero_broker_clerk_in_flight 2',
      'cadzero_broker_clerk_waiting 1',
      'cadzero_broker_clerk_available 1',
      'cadzero_broker_clock_offset_seconds 2',
      'cadzero_broker_redis_up 1',
    ]) {
      expect(text).toContain(`${line}\n`)
    }
  })

  it.each(['x-forwarded-for', 'forwarded', 'x-real-ip', 'via'])(
    'are refused to a client of a proxy on this computer, which sends %s',
    async (name) => {
      const { server } = await start()
      expect(await statusOf(`${server.url}/metrics`, { [name]: '203.0.113.7' })).toBe(404)
    },
  )

  it.each([
    ['passes the client’s Host on', '1.1', 'api.example.com'],
    ['passes on a Host that only begins like loopback', '1.1', '127.0.0.1.example.com'],
    ['speaks HTTP/1.0, as nginx does by default', '1.0', '127.0.0.1'],
  ])('are refused to a client of a proxy that adds no header but %s', async (_name, version, host) => {
    const { server } = await start()
    const target = (path: string) => `GET ${path} HTTP/${version}\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
    const statusAt = async (path: string) => (await sendRaw(Number(new URL(server.url).port), target(path))).status
    expect([await statusAt('/metrics'), await statusAt('/livez')]).toEqual([404, 200])
  })

  it('leave the port of the broker if they have their own', async () => {
    const { server } = await start({}, { metricsListener: { host: '127.0.0.1', port: 0 } })
    expect(await (await fetch(`${server.url}/metrics`)).text()).toBe('{}') // the broker's answer
    expect((await fetch(`${server.metricsUrl}/metrics`)).status).toBe(200)
    expect((await fetch(`${server.metricsUrl}/api/auth/refresh`, { method: 'POST' })).status).toBe(404)
  })
})
