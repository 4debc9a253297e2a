// The requests to Clerk over HTTP: what the broker reads of an answer's headers.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { clerkHttp } from '../../src/broker/clerk-http.ts'

const SECOND = Date.parse('2026-11-26T22:00:00Z') / 1000
const DATE = 'Thu, 26 Nov 2026 22:00:00 GMT'

async function ask(headers: Readonly<Record<string, string | string[]>>) {
  let received: IncomingHttpHeaders = {}
  const server = createServer((request, response) => {
    received = request.headers
    response.sendDate = false
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    response.end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const calls = clerkHttp({
    secretKey: 'sk_test_0',
    apiUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  })
  const request = { operation: 'keys', method: 'GET', target: '/v1/jwks' } as const
  const { date, ageSeconds } = await calls(request, new AbortController().signal)
  return { date, ageSeconds, received }
}

describe('the time of an answer', () => {
  it.each<[string, Record<string, string | string[]>, object]>([
    ['is that of `Date`', { Date: DATE }, { date: SECOND, ageSeconds: undefined }],
    ['has the age that a cache states', { Date: DATE, Age: '120' }, { date: SECOND, ageSeconds: 120 }],
    [
      'is the first `Date`, if a proxy has added another one',
      { Date: [DATE, 'Fri, 27 Nov 2026 22:00:00 GMT'] },
      { date: SECOND },
    ],
    ['is unknown without `Date`', {}, { date: undefined }],
    ...['1', '-1', '2026', 'today', '0000-00-00', 'Thu, 99 Nov 2026 22:00:00 GMT', `x${DATE}`].map(
      (garbage): [string, Record<string, string>, object] => [
        `is unknown if \`Date\` is ${garbage}`,
        { Date: garbage },
        { date: undefined },
      ],
    ),
  ])('%s', async (_name, headers, expected) => {
    expect(await ask(headers)).toMatchObject(expected)
  })

  it('is not that of a cache, if the cache does as it is asked', async () => {
    expect((await ask({})).received['cache-control']).toBe('no-cache')
  })
})
