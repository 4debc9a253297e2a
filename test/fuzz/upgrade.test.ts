// Fuzzes the upgrade request: only a request that an independent check accepts becomes a WebSocket.
import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../src/host/random.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { authorization, mac } from '../../src/rpc/handshake.ts'
import {
  check,
  cuts,
  type Edit,
  edit,
  edited,
  exchange,
  FUZZ_TIMEOUT,
  isIncomplete,
  latin1,
  readResponse,
} from '../support/fuzz.ts'
import { bytesOf, startServer, type UpgradeRequest, upgradeRequest } from '../support/rpc.ts'

const REFUSED = 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
// Node.js itself responds to malformed HTTP.
const REFUSALS = [
  REFUSED,
  ...['400 Bad Request', '431 Request Header Fields Too Large'].map((status) =>
    REFUSED.replace('403 Forbidden', status),
  ),
]
const methods = { ping: { params: v.any(), handle: () => ['pong'] } }

const OURS = ['Host', 'Upgrade', 'Connection', 'Authorization', 'Sec-WebSocket-Key']
  .concat(['Sec-WebSocket-Version', 'Sec-WebSocket-Protocol'])
  .concat(['Sec-WebSocket-Extensions'])
const FORBIDDEN_NAMES = ['Origin', 'Referer', 'Cookie', 'Sec-Fetch-Site', 'Forwarded', 'X-Forwarded-For', 'Via']
const BODIES = ['Content-Length', 'Transfer-Encoding', 'Expect', 'TE', 'Trailer', 'Keep-Alive']
const VALUES = ['', '0', '5', '13', '8', 'chunked', 'websocket', 'h2c', 'Upgrade', 'keep-alive, Upgrade', 'close']
  .concat(['100-continue', 'permessage-deflate', 'cadzero-auth.v1', 'cadzero-auth.v1, chat', 'null'])
  .concat(['127.0.0.1', 'localhost', 'https://evil.example', 'Bearer abc', 'CadzeroAuth', 'AAAAAAAAAAAAAAAAAAAAAA=='])

const name = fc.oneof(
  { arbitrary: fc.constantFrom(...OURS), weight: 5 },
  { arbitrary: fc.constantFrom(...FORBIDDEN_NAMES, ...BODIES), weight: 3 },
  { arbitrary: latin1(0, 8), weight: 1 },
)
const value = fc.oneof(
  { arbitrary: fc.constantFrom(...VALUES), weight: 4 },
  { arbitrary: latin1(0, 40), weight: 1 },
  { arbitrary: fc.integer({ min: 1, max: 20_000 }).map((length) => 'x'.repeat(length)), weight: 1 },
)
const line = fc
  .tuple(
    fc.constantFrom('GET', 'get', 'POST', 'HEAD', 'OPTIONS', 'CONNECT', 'PRI', 'G\0ET', ''),
    fc
      .constantFrom('/rpc', '/rpc/', '/rpc?', '/rpc?a=b', '//rpc', '/RPC', '/%72pc', '/x/../rpc', '*', '/')
      .chain((one) => fc.constantFrom(one, one, `http://127.0.0.1${one}`)),
    fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'http/1.1', 'HTTP/1.1 ', 'HTTP/0.9', ''),
  )
  .map((parts) => parts.join(' '))

type Change =
  | { readonly set: string; readonly value: string }
  | { readonly add: string; readonly value: string }
  | { readonly drop: string }
  | { readonly again: string }
  | { readonly line: string }
  | { readonly credentials: 'of another key' | 'of another port' | 'of another instance' | 'of the server' | 'spent' }

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ set: name, value }),
  fc.record({ add: name, value }),
  fc.record({ drop: name }),
  fc.record({ again: name }),
  fc.record({ line }),
  fc.record({
    credentials: fc.constantFrom(
      'of another key' as const,
      'of another port' as const,
      'of another instance' as const,
      'of the server' as const,
      'spent' as const,
    ),
  }),
)

const hostile = fc.record({
  changes: fc.array(change, { maxLength: 3 }),
  edits: fc.array(edit, { maxLength: 2 }),
  suffix: fc.oneof(fc.constant(''), latin1(1, 64), fc.constant('GET /rpc HTTP/1.1\r\nHost: x\r\n\r\n')),
  cuts,
})

const harmless = fc.record({
  order: fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 8, maxLength: 8 }),
  upper: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
  space: fc.constantFrom('', ' ', '   '), // not tabs: the parser of Node.js finds no upgrade in a Connection with a tab
  added: fc.tuple(fc.stringMatching(/^X-[A-Za-z0-9!#$%&'*+.^_`|~]{1,20}$/), fc.stringMatching(/^[!-~]{0,64}$/)),
  cuts,
})

const isHeader = (name: string) => (header: readonly [string, string]) => header[0].toLowerCase() === name.toLowerCase()

function applied(request: UpgradeRequest, change: Change, endpoint: Endpoint, spent: string): UpgradeRequest {
  const { requestLine, headers } = request
  if ('line' in change) return { requestLine: change.line, headers }
  if ('drop' in change) return { requestLine, headers: headers.filter((one) => !isHeader(change.drop)(one)) }
  if ('add' in change) return { requestLine, headers: [...headers, [change.add, change.value]] }
  if ('again' in change) {
    const [, value = ''] = headers.find(isHeader(change.again)) ?? []
    return { requestLine, headers: [...headers, [change.again.toLowerCase(), value]] }
  }
  const [name, value] =
    'set' in change ? [change.set, change.value] : ['Authorization', credentials(change.credentials, endpoint, spent)]
  return { requestLine, headers: headers.map((one) => (isHeader(name)(one) ? [one[0], value] : one)) }
}

function credentials(
  kind: Extract<Change, { credentials: unknown }>['credentials'],
  endpoint: Endpoint,
  spent: string,
): string {
  if (kind === 'spent') return spent
  const nonce = systemRandom(16).toString('base64url')
  if (kind === 'of the server') {
    return `CadzeroAuth instance="${endpoint.instance}", nonce="${nonce}", mac="${mac('server', endpoint, nonce)}"`
  }
  const other = {
    'of another key': { key: systemRandom(32).toString('base64url') },
    'of another port': { endpoint: '127.0.0.1:1' },
    'of another instance': { instance: systemRandom(16).toString('base64url') },
  }[kind]
  return authorization({ ...endpoint, ...other }, systemRandom).value
}

// An independent check, written from the wire contract and RFC 9112.

const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/
const FORBIDDEN = /^(origin|referer|cookie|sec-fetch-|forwarded$|x-forwarded-|via$)/
const CREDENTIALS = /^CadzeroAuth instance="([^"]*)", nonce="([\w-]{22})", mac="([^"]*)"$/

/** The expected proof of the server; undefined if the request must be refused. */
function proofFor(bytes: string, endpoint: Endpoint, spent: Set<string>): string | undefined {
  const text = bytes.replace(/^[\r\n]+/, '') // RFC 9112 section 2.2 allows empty lines before the request
  const end = text.indexOf('\r\n\r\n')
  const [first = '', ...lines] = end < 0 ? [] : text.slice(0, end).split('\r\n')
  if (!/^GET +\/rpc +HTTP\/1\.1$/.test(first)) return undefined
  const fields = new Map<string, string[]>()
  for (const line of lines) {
    const [, name, value = ''] = FIELD.exec(line) ?? []
    if (name === undefined || FORBIDDEN.test(name.toLowerCase())) return undefined
    fields.set(name.toLowerCase(), [...(fields.get(name.toLowerCase()) ?? []), value])
  }
  const only = (name: string) => (fields.get(name)?.length === 1 ? String(fields.get(name)?.[0]) : '')
  const [, instance, nonce = '', given] = CREDENTIALS.exec(only('authorization')) ?? []
  const sign = (role: string) =>
    createHmac('sha256', Buffer.from(endpoint.key, 'base64url'))
      .update([role, endpoint.endpoint, endpoint.instance, nonce].join('\n'))
      .digest('base64url')
  const isRight =
    only('host') === endpoint.endpoint &&
    only('upgrade').toLowerCase() === 'websocket' &&
    /(^|,)\s*upgrade\s*(,|$)/i.test(only('connection')) &&
    only('sec-websocket-version') === '13' &&
    only('sec-websocket-protocol') === 'cadzero-auth.v1' &&
    Buffer.from(only('sec-websocket-key'), 'base64').length === 16 &&
    instance === endpoint.instance &&
    given === sign('client') &&
    !spent.has(nonce)
  if (!isRight) return undefined
  spent.add(nonce)
  return sign('server')
}

describe('any upgrade request', FUZZ_TIMEOUT, () => {
  it('is refused with the same bytes unless it is correct', async () => {
    const { server, endpoint, connect } = await startServer({ methods })
    const owner = await connect()
    const spent = new Set<string>()
    const used = upgradeRequest(endpoint)
    expect(proofFor(bytesOf(used), endpoint, spent)).toBeDefined()
    expect((await exchange(server.port, bytesOf(used))).text).toMatch(/^HTTP\/1\.1 101 /)
    const [, usedCredentials = ''] = used.headers.find(isHeader('Authorization')) ?? []
    await check(
      120,
      fc.asyncProperty(hostile, async ({ changes, edits, suffix, cuts }) => {
        let request = upgradeRequest(endpoint)
        for (const one of changes) request = applied(request, one, endpoint, usedCredentials)
        const bytes = edits.reduce((text: string, one: Edit) => edited(text, one), bytesOf(request) + suffix)
        const { text, wasReset } = await exchange(server.port, bytes, cuts)
        const proof = proofFor(bytes, endpoint, spent)
        if (readResponse(text).status === 101) {
          expect(readResponse(text).headers.get('cadzeroauth-proof')).toBe(proof)
        } else if (text !== '') expect(REFUSALS).toContain(text)
        else if (text === '') expect(wasReset || isIncomplete(bytes)).toBe(true)
        expect(await owner.callAny('ping')).toEqual(['pong'])
      }),
    )
    expect(await (await connect()).callAny('ping')).toEqual(['pong'])
  })

  it('is accepted in any order, case and spacing that HTTP allows', async () => {
    const { server, endpoint } = await startServer({ methods })
    const spent = new Set<string>()
    await check(
      60,
      fc.asyncProperty(harmless, async ({ order, upper, space, added, cuts }) => {
        const { requestLine, headers } = upgradeRequest(endpoint)
        const all = [...headers, added]
        const lines = order.map((at) => {
          const [name, value] = all[at] ?? added
          return `${upper[at] ? name.toUpperCase() : name.toLowerCase()}:${space}${value}${space}`
        })
        const bytes = [requestLine, ...lines, '', ''].join('\r\n')
        const { text } = await exchange(server.port, bytes, cuts)
        const response = readResponse(text)
        expect(response.status).toBe(101)
        expect(response.headers.get('cadzeroauth-proof')).toBe(proofFor(bytes, endpoint, spent))
      }),
    )
  })
})
