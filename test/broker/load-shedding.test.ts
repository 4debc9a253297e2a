// Load shedding: requests beyond the limit are refused at once, and those within it are answered.
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { shedLoad } from '../../src/broker/load-shedding.ts'
import { newBroker, PAGE_ORIGIN, PUBLIC_URL } from '../support/broker.ts'
import { newSandbox } from '../support/world.ts'

it('refuses requests beyond the limit, and serves again when a request is done', async () => {
  const finish: (() => void)[] = []
  const answer = () => new Promise<string>((resolve) => finish.push(() => resolve('answered')))
  const { handle, inFlight } = shedLoad(answer, 2, (request: number) => `refused ${request}`)
  const running = [handle(1), handle(2)]
  expect(await handle(3)).toBe('refused 3')
  expect(inFlight()).toBe(2)
  finish.shift()?.()
  expect(await running[0]).toBe('answered')
  const next = handle(4)
  expect(inFlight()).toBe(2)
  for (const done of finish) done()
  expect(await next).toBe('answered')
  expect(inFlight()).toBe(0)
})

it('answers 503 with Retry-After, which the page can read, and goes on answering preflight requests', async () => {
  const { broker, post } = newBroker(await newSandbox(), { maxInFlight: 1 })
  const url = `${PUBLIC_URL}/api/auth/code`
  const headers = { origin: PAGE_ORIGIN }
  const end = new AbortController()
  const body = bodyThatEnds(once(end.signal, 'abort'))
  const running = broker({ method: 'POST', url, headers: new Headers({ 'content-type': 'application/json' }), body })
  const refused = await post('/api/auth/code', {}, { headers })
  expect(refused).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } })
  expect(refused.headers.get('retry-after')).toBe('1')
  expect(refused.headers.get('access-control-allow-origin')).toBe(PAGE_ORIGIN)

  const preflight = await broker(new Request(url, { method: 'OPTIONS', headers }))
  expect(preflight.status).toBe(204)
  expect(preflight.headers.get('access-control-allow-origin')).toBe(PAGE_ORIGIN)

  const other = await post('/api/auth/code', {}, { headers: { origin: 'https://other.example' } })
  const daemon = await post('/api/auth/refresh', {}, { headers })
  for (const { status, headers } of [other, daemon]) {
    expect(status).toBe(503)
    expect(headers.get('access-control-allow-origin')).toBeNull()
  }

  end.abort()
  expect((await running).status).toBe(400)
})

async function* bodyThatEnds(end: Promise<unknown>): AsyncIterable<Uint8Array> {
  await end
  yield Buffer.from('{}')
}
