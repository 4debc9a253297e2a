// What a response of the provider means for the session: only invalid_grant ends it.
import { expect, test } from 'vitest'
import { ResponseWatch, retryAfter } from '../../src/clerk/response-watch.ts'
import { NetworkError } from '../../src/host/network.ts'
import { TestClock } from '../support/clock.ts'

const clock = new TestClock()
const error = (code: unknown) => JSON.stringify({ error: code })

async function watchResponse(status: number, body: string | null, headers: Record<string, string> = {}) {
  const watch = new ResponseWatch(async () => new Response(body, { status, headers }), clock)
  await watch.fetch('https://clerk.example.com/token')
  return watch
}

test.each([
  [400, error('invalid_grant'), { name: 'SessionEndedError', reason: 'session_revoked' }],
  [401, error('invalid_grant'), { name: 'SessionEndedError', reason: 'session_revoked' }],
  [401, error('invalid_client'), { name: 'RejectedError', reason: 'invalid_client' }],
  [400, error('invalid_scope'), { name: 'RejectedError', reason: 'invalid_scope' }],
  [403, error('made up by the provider'), { name: 'RejectedError', reason: 'rejected' }],
  [400, '<html>invalid_grant</html>', { name: 'UnavailableError', reason: 'server' }],
  [400, error({ code: 'invalid_grant' }), { name: 'UnavailableError', reason: 'server' }],
  [400, '"invalid_grant"', { name: 'UnavailableError', reason: 'server' }],
  [400, 'null', { name: 'UnavailableError', reason: 'server' }],
  [400, null, { name: 'UnavailableError', reason: 'server' }],
  [408, error('invalid_grant'), { name: 'UnavailableError', reason: 'server' }],
  [429, error('invalid_grant'), { name: 'UnavailableError', reason: 'rate_limited' }],
  [500, error('invalid_grant'), { name: 'UnavailableError', reason: 'server' }],
  [503, error('invalid_grant'), { name: 'UnavailableError', reason: 'server' }],
  [302, null, { name: 'UnavailableError', reason: 'server' }],
  [200, '<html>', { name: 'UnavailableError', reason: 'server' }],
])('status %d with the body %s is a %o', async (status, body, failure) => {
  expect((await watchResponse(status, body)).failure()).toMatchObject(failure)
})

test.each([
  [200, 'text/html', 'captive_portal'],
  [302, 'text/html; charset=utf-8', 'captive_portal'],
  [403, 'Text/HTML', 'captive_portal'],
  [511, 'text/plain', 'captive_portal'],
  [200, 'application/json', 'protocol'],
  [302, 'text/plain', 'protocol'],
  [404, 'text/plain', 'protocol'],
  [502, 'text/html', undefined],
  [429, 'text/html', undefined],
])('the cause of an unusable response with the status %d and the type %s is %s', async (status, type, cause) => {
  const failure = (await watchResponse(status, '<html>', { 'content-type': type })).failure()
  expect(failure).toMatchObject({ name: 'UnavailableError' })
  expect(failure).toHaveProperty('failure', cause === undefined ? undefined : { cause })
})

test('a request without a response has the failure of the network', async () => {
  const failure = { cause: 'certificate', certificateIssuer: 'Example Corp CA' } as const
  const watch = new ResponseWatch(() => Promise.reject(new NetworkError('unreachable', failure)), clock)
  await expect(watch.fetch('https://clerk.example.com/token')).rejects.toThrow('no connection')
  expect(watch.failure()).toMatchObject({ reason: 'network', failure })
})

test.each([408, 429, 500, 503])('keeps Retry-After of the status %d', async (status) => {
  const watch = await watchResponse(status, null, { 'retry-after': '7' })
  expect(watch.failure()).toMatchObject({ retryAfterSeconds: 7 })
})

test('a request without a response is a network failure, whatever the response before it was', async () => {
  const responses = [() => Promise.resolve(new Response(error('invalid_grant'), { status: 400 }))]
  const watch = new ResponseWatch(() => responses.shift()?.() ?? Promise.reject(new Error('no connection')), clock)
  await watch.fetch('https://clerk.example.com/token')
  await expect(watch.fetch('https://clerk.example.com/token')).rejects.toThrow('no connection')
  expect(watch.failure()).toMatchObject({ name: 'UnavailableError', reason: 'network' })
  expect([watch.hasSentRequest, watch.hasSucceeded]).toEqual([true, false])
})

test('knows whether a request was sent and whether it succeeded', async () => {
  const unused = new ResponseWatch(async () => new Response(), clock)
  expect([unused.hasSentRequest, unused.hasSucceeded]).toEqual([false, false])
  const succeeded = await watchResponse(200, '{}')
  expect([succeeded.hasSentRequest, succeeded.hasSucceeded]).toEqual([true, true])
  expect((await watchResponse(300, null)).hasSucceeded).toBe(false)
  expect((await watchResponse(400, null)).hasSucceeded).toBe(false)
})

test('leaves the body of the response to be read', async () => {
  const watch = new ResponseWatch(async () => new Response(error('invalid_scope'), { status: 400 }), clock)
  expect(await (await watch.fetch('https://clerk.example.com/token')).json()).toEqual({ error: 'invalid_scope' })
})

test.each([
  [null, undefined],
  ['0', 0],
  ['7', 7],
  ['300', 300],
  ['301', 300],
  ['3600', 300],
  ['-1', undefined],
  ['soon', undefined],
  ['', undefined],
  [new Date((clock.now() + 90) * 1000).toUTCString(), 90],
  [new Date((clock.now() + 9000) * 1000).toUTCString(), 300],
  [new Date((clock.now() - 90) * 1000).toUTCString(), undefined],
])('Retry-After %j is %s seconds', (value, seconds) => {
  expect(retryAfter(value, clock)).toBe(seconds)
})
