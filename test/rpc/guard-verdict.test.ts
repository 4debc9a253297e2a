// The guard as a function: the verdict and its reason for each kind of request, without a socket.
import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../src/host/random.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { createGuard } from '../../src/rpc/guard.ts'
import { authorization, mac } from '../../src/rpc/handshake.ts'
import { upgradeRequest } from '../support/rpc.ts'

const endpoint: Endpoint = {
  version: 1,
  pid: 1,
  endpoint: '127.0.0.1:4000',
  path: '/rpc',
  instance: 'A'.repeat(22),
  key: 'k'.repeat(43),
  startedAt: '2027-01-15T08:00:00.000Z',
  daemonVersion: '1.0.0',
}
const LOOPBACK = { remoteAddress: '127.0.0.1', localAddress: '127.0.0.1' }

type Headers = Readonly<Record<string, string | undefined>>

interface Changes {
  readonly request?: object
  /** Replace headers of a valid request; undefined removes one. */
  readonly headers?: Headers
  /** Follow the headers of a valid request. */
  readonly more?: readonly string[]
}

function newRequest({ request = {}, headers = {}, more = [] }: Changes = {}): IncomingMessage {
  const valid = Object.fromEntries(upgradeRequest(endpoint).headers)
  const entries = Object.entries({ ...valid, ...headers } as Headers).filter(([, value]) => value !== undefined)
  const rawHeaders = [...entries.flat().map(String), ...more]
  return { method: 'GET', url: '/rpc', httpVersion: '1.1', socket: LOOPBACK, rawHeaders, ...request } as IncomingMessage
}

const judge = (changes: Changes) => createGuard(endpoint, () => undefined)(newRequest(changes))
const signed = (nonce: string, by = mac('client', endpoint, nonce), instance = endpoint.instance) =>
  `CadzeroAuth instance="${instance}", nonce="${nonce}", mac="${by}"`

const refused: readonly (readonly [name: string, why: string, changes: Changes])[] = [
  ['another remote address', 'address', { request: { socket: { ...LOOPBACK, remoteAddress: '127.0.0.2' } } }],
  ['another local address', 'address', { request: { socket: { ...LOOPBACK, localAddress: '127.0.0.2' } } }],
  ['another method', 'request_line', { request: { method: 'POST' } }],
  ['another path', 'request_line', { request: { url: '/rpc/' } }],
  ['HTTP/1.0', 'request_line', { request: { httpVersion: '1.0' } }],
  ...['Origin', 'REFERER', 'cookie', 'Sec-Fetch-Mode', 'Forwarded', 'X-Forwarded-For', 'Via'].map(
    (name): [string, string, Changes] => [`the header ${name}`, 'browser_header', { more: [name, ''] }],
  ),
  ...Object.entries(Object.fromEntries(upgradeRequest(endpoint).headers)).map(
    ([name, value]): [string, string, Changes] => [
      `a second ${name}`,
      'repeated_header',
      { more: [name.toUpperCase(), value] },
    ],
  ),
  ['no Host', 'host', { headers: { Host: undefined } }],
  ['the Host localhost', 'host', { headers: { Host: 'localhost:4000' } }],
  ['no Upgrade', 'websocket', { headers: { Upgrade: undefined } }],
  ['another Upgrade', 'websocket', { headers: { Upgrade: 'h2c' } }],
  ['no WebSocket version', 'websocket', { headers: { 'Sec-WebSocket-Version': undefined } }],
  ['WebSocket version 8', 'websocket', { headers: { 'Sec-WebSocket-Version': '8' } }],
  ['no subprotocol', 'websocket', { headers: { 'Sec-WebSocket-Protocol': undefined } }],
  ['another subprotocol', 'websocket', { headers: { 'Sec-WebSocket-Protocol': 'cadzero-auth.v2' } }],
  ['no WebSocket key', 'websocket', { headers: { 'Sec-WebSocket-Key': undefined } }],
  ['a longer WebSocket key', 'websocket', { headers: { 'Sec-WebSocket-Key': `x${'A'.repeat(22)}==` } }],
  ['text after the WebSocket key', 'websocket', { headers: { 'Sec-WebSocket-Key': `${'A'.repeat(22)}==x` } }],
  ['no Authorization', 'authorization', { headers: { Authorization: undefined } }],
  ['another scheme', 'authorization', { headers: { Authorization: 'Bearer abc' } }],
  ['text before the scheme', 'authorization', { headers: { Authorization: `x${signed('B'.repeat(22))}` } }],
  ['text after the MAC', 'authorization', { headers: { Authorization: `${signed('B'.repeat(22))}x` } }],
  ['a random MAC', 'authorization', { headers: { Authorization: signed('B'.repeat(22), 'C'.repeat(43)) } }],
  [
    'the MAC of the server role',
    'authorization',
    { headers: { Authorization: signed('B'.repeat(22), mac('server', endpoint, 'B'.repeat(22))) } },
  ],
  [
    'the right MAC beside another instance',
    'authorization',
    { headers: { Authorization: signed('B'.repeat(22), undefined, 'C'.repeat(22)) } },
  ],
  [
    'a MAC by another key',
    'authorization',
    { headers: { Authorization: authorization({ ...endpoint, key: 'x'.repeat(43) }, systemRandom).value } },
  ],
]

describe('createGuard', () => {
  it.each(refused)('refuses %s with the reason %s', (_name, why, changes) => {
    expect(judge(changes)).toEqual({ allowed: false, why })
  })

  it('allows a valid request with the proof of the server role, in any case of names and of the upgrade', () => {
    const nonce = 'B'.repeat(22)
    const changes: Changes = { headers: { Authorization: signed(nonce), Upgrade: 'WebSocket' }, more: ['X-Any', 'x'] }
    expect(judge(changes)).toEqual({ allowed: true, proof: mac('server', endpoint, nonce) })
  })

  it('allows repeated headers that decide nothing', () => {
    expect(judge({ more: ['X-Any', 'x', 'x-any', 'y'] })).toMatchObject({ allowed: true })
  })

  it('refuses a nonce that it has seen, and reports the number of nonces', () => {
    const counts: number[] = []
    const guard = createGuard(endpoint, (count) => counts.push(count))
    const request = newRequest()
    expect(guard(request)).toMatchObject({ allowed: true })
    expect(guard(request)).toEqual({ allowed: false, why: 'replay' })
    expect(guard(newRequest())).toMatchObject({ allowed: true })
    expect(guard(newRequest({ headers: { Authorization: 'Bearer abc' } }))).toMatchObject({ allowed: false })
    expect(counts).toEqual([1, 2])
  })
})
