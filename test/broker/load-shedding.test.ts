// Load shedding: requests beyond the limit are refused at once, and those within it are answered.
import { expect, it } from 'vitest'
import { shedLoad } from '../../src/broker/load-shedding.ts'

it('answers 503 with Retry-After beyond the limit, and serves again when a request is done', async () => {
  const finish: (() => void)[] = []
  let shed = 0
  const answer = () => new Promise<Response>((resolve) => finish.push(() => resolve(new Response('done'))))
  const { handle, inFlight } = shedLoad(answer, 2, () => void shed++)
  const running = [handle(), handle()]
  const refused = await handle()
  expect(refused.status).toBe(503)
  expect(refused.headers.get('retry-after')).toBe('1')
  expect(await refused.json()).toMatchObject({ error: 'temporarily_unavailable' })
  expect({ inFlight: inFlight(), shed }).toEqual({ inFlight: 2, shed: 1 })
  finish.shift()?.()
  expect((await running[0])?.status).toBe(200)
  const next = handle()
  expect(inFlight()).toBe(2)
  for (const done of finish) done()
  expect((await next).status).toBe(200)
  expect(inFlight()).toBe(0)
})
