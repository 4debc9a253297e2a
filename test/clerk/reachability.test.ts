// Whether a provider or a broker is there: each response that is not its own has a cause, and the time of a response counts.
import { describe, expect, it } from 'vitest'
import { reachBroker, reachKeys, reachMetadata } from '../../src/clerk/reachability.ts'
import { type Fetch, NetworkError } from '../../src/host/network.ts'
import { TestClock } from '../support/clock.ts'

const NOW = 1_800_000_000
const HTML = { 'content-type': 'text/html; charset=utf-8' }

function answering(status: number, body: string, headers: Record<string, string> = {}) {
  const asked: { url: string; init: unknown }[] = []
  const fetch: Fetch = async (url, init) => {
    asked.push({ url: String(url), init })
    return new Response(body, { status, headers: { 'content-type': 'application/json', ...headers } })
  }
  return { fetch, asked }
}

const clock = new TestClock(NOW)
const reach = (fetch: Fetch) => reachMetadata('https://clerk.example.com', fetch, clock)

describe('the way to the provider', () => {
  it('is open if the metadata or the public keys come', async () => {
    const metadata = answering(200, '{"issuer":"https://clerk.example.com"}')
    expect((await reach(metadata.fetch)).error).toBeNull()
    const keys = answering(200, '{"keys":[]}')
    expect((await reachKeys('https://clerk.example.com/', keys.fetch, clock)).error).toBeNull()
    expect([...metadata.asked, ...keys.asked].map(({ url }) => url)).toEqual([
      'https://clerk.example.com/.well-known/openid-configuration',
      'https://clerk.example.com/.well-known/jwks.json',
    ])
  })

  it.each([
    [200, '<html>Welcome to the hotel', HTML, { reason: 'server', cause: 'captive_portal' }],
    [403, '<html>Blocked', HTML, { reason: 'server', cause: 'captive_portal' }],
    [511, '', {}, { reason: 'server', cause: 'captive_portal' }],
    [302, '', { location: 'https://login.hotel.example/' }, { reason: 'server', cause: 'protocol' }],
    [404, '<html>Not found', HTML, { reason: 'server', cause: 'protocol' }],
    [200, '{}', {}, { reason: 'server', cause: 'protocol' }],
    [200, '[', {}, { reason: 'server', cause: 'protocol' }],
    [200, 'null', {}, { reason: 'server', cause: 'protocol' }],
    [400, '{"error":"invalid_grant"}', {}, { reason: 'server', cause: 'protocol' }],
    [429, '', {}, { reason: 'rate_limited' }],
    [503, '<html>Down', HTML, { reason: 'server' }],
  ])('is closed if it responds %i with %j', async (status, body, headers, error) => {
    expect((await reach(answering(status, body, headers).fetch)).error).toEqual(error)
  })

  it('is closed with the cause that the network gives', async () => {
    const failure = { cause: 'certificate', certificateIssuer: 'Example Corp CA' } as const
    const fetch: Fetch = () => Promise.reject(new NetworkError('unreachable', failure))
    expect(await reach(fetch)).toEqual({ error: { reason: 'network', ...failure }, skew: null })
  })
})

describe('the way to the broker', () => {
  it('is open if it refuses an empty request, which holds no secret', async () => {
    const { fetch, asked } = answering(400, '{"error":"invalid_request","error_description":"…"}')
    expect((await reachBroker('https://api.example.com', fetch, clock)).error).toBeNull()
    expect(asked).toMatchObject([
      { url: 'https://api.example.com/api/auth/refresh', init: { method: 'POST', body: '{}' } },
    ])
  })

  it('is closed if another backend responds', async () => {
    const { fetch } = answering(405, '<html>Method not allowed', HTML)
    expect((await reachBroker('https://api.example.com', fetch, clock)).error).not.toBeNull()
  })
})

it.each([
  [-300, -300],
  [0, 0],
  [86_400, 86_400],
])('measures that the clock is ahead by %i s, also from a response that is not expected', async (ahead, skew) => {
  const date = new Date((NOW - ahead) * 1000).toUTCString()
  expect((await reach(answering(404, '', { date }).fetch)).skew).toBe(skew)
})

it('does not know the time of a server that does not state it', async () => {
  expect((await reach(answering(200, '{}', { date: 'yesterday' }).fetch)).skew).toBeNull()
})
