// Fuzzes the callback listener: it serves constant pages only, and accepts nothing without the correct state.
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type CallbackAddress, CallbackListener } from '../../src/callback/callback-listener.ts'
import type { Outcome } from '../../src/callback/outcome.ts'
import { pages } from '../../src/callback/pages.ts'
import { systemRandom } from '../../src/host/random.ts'
import { TestClock } from '../support/clock.ts'
import {
  check,
  cuts,
  type Edit,
  edit,
  edited,
  exchange,
  FUZZ_TIMEOUT,
  type HttpResponse,
  headIn,
  isFromNode,
  isHeadRequest,
  isIncomplete,
  latin1,
  readResponse,
  responsesIn,
} from '../support/fuzz.ts'

const OUTCOMES: readonly Outcome[] = [
  'incomplete',
  'forged',
  'expired',
  'wrong_audience',
  'mismatched',
  'pending',
  'unverified',
]
const PATHS = OUTCOMES.map((outcome) => `/refused/${outcome.replace('_', '-')}`).concat(
  '/signed-in',
  '/denied',
  '/failed',
)
const BODIES = new Map(Object.values(pages).map((page) => [page.body.toString('latin1'), page.status]))

const oauth: CallbackAddress = { host: '127.0.0.1', port: 0, path: '/callback', losesState: true }
const handoff: CallbackAddress = { host: 'localhost', port: 0, path: '/', losesState: false }

async function listen(address: CallbackAddress, state: string | null) {
  const clock = new TestClock()
  const taken: URL[] = []
  let next: Outcome = 'forged'
  const listener = await CallbackListener.listen({
    address,
    clock,
    onCallback: async (url) => {
      taken.push(url)
      return next
    },
    socketOwner: () => Promise.resolve('own'),
    onRefused: () => undefined,
    signedInAs: () => null,
    onInterrupted: () => undefined,
  })
  onTestFinished(async () => {
    const closed = listener.close()
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(1) // the listener gives the browser time for its last page
    await closed
  })
  listener.expect(state)
  return {
    taken,
    port: Number(new URL(listener.redirectUri).port),
    redirectUri: listener.redirectUri,
    /** Lets the listener's timers for a connection fire: each keeps its socket until then. */
    pass: () => clock.advance(10),
    end: (outcome: Outcome) => {
      next = outcome
    },
  }
}

const RIGHT = '<right>' // a placeholder for the state
const param = fc.tuple(
  fc.constantFrom('state', 'state', 'code', 'error', 'token', 'iss', 'STATE', 'state[]', '%73tate', '__proto__', ''),
  fc.constantFrom('=', '=', '=', '', '=%', '=='),
  fc.oneof(fc.constantFrom(RIGHT, RIGHT, `${RIGHT}x`, `${RIGHT}%00`, 'x', '%', '%ff', '\u00ff'), latin1(0, 12)),
)
const target = fc
  .record({
    before: fc.constantFrom('', '', '', '', 'http://evil.example', '//evil.example', '\\', '*', '/..'),
    path: fc.constantFrom(
      '/callback',
      '/callback',
      '/callback',
      '/',
      '/',
      ...PATHS,
      '/favicon.ico',
      '/callback/',
      '/%63allback',
    ),
    mark: fc.constantFrom('?', '?', '?', '??', '#', ';', ''),
    params: fc.array(param, { maxLength: 4 }),
  })
  .map(({ before, path, mark, params }) => `${before}${path}${mark}${params.map((one) => one.join('')).join('&')}`)
const header = fc.oneof(
  fc.constantFrom('Sec-Purpose: prefetch', 'Purpose: preview', 'X-Moz: prefetch', 'Content-Length: 5', 'Expect: x'),
  fc.constantFrom('Transfer-Encoding: chunked', 'Expect: 100-continue', 'Upgrade: websocket', 'Connection: Upgrade'),
  fc.constantFrom('Connection: close', 'Host: evil.example', 'Cookie: a=b', 'Origin: https://evil.example'),
  fc.tuple(latin1(0, 8), latin1(0, 20)).map((parts) => parts.join(': ')),
  fc.integer({ min: 1, max: 20_000 }).map((length) => `X-Long: ${'x'.repeat(length)}`),
)
const hit = fc.record({
  method: fc.oneof(
    { arbitrary: fc.constant('GET'), weight: 6 },
    { arbitrary: fc.constantFrom('POST', 'HEAD', 'OPTIONS', 'PUT', 'CONNECT', 'TRACE', 'M-SEARCH', 'get'), weight: 2 },
  ),
  target,
  host: fc.oneof(
    { arbitrary: fc.constantFrom('127.0.0.1:PORT'), weight: 6 },
    {
      arbitrary: fc.constantFrom('localhost:PORT', '[::1]:PORT', '127.0.0.1', 'evil.example:PORT', '127.1:PORT', ''),
      weight: 2,
    },
    { arbitrary: latin1(0, 12), weight: 1 },
  ),
  headers: fc.array(header, { maxLength: 2 }),
  edits: fc.oneof(
    { arbitrary: fc.constant<Edit[]>([]), weight: 3 },
    { arbitrary: fc.array(edit, { maxLength: 2 }), weight: 1 },
  ),
  cuts,
})

type Hit = typeof hit extends fc.Arbitrary<infer T> ? T : never

function bytesOf({ method, target, host, headers }: Hit, port: number, state: string): string {
  const lines = [`${method} ${target} HTTP/1.1`, `Host: ${host.replace('PORT', String(port))}`, ...headers, '', '']
  return lines.join('\r\n').replaceAll(RIGHT, state)
}

/** Checks that a response has a known status, known headers and a constant body. */
function expectConstant(text: string, isHead: boolean): void {
  const response = readResponse(text)
  if (isFromNode(text)) return
  expect([200, 204, 303, 400, 403, 404]).toContain(response.status)
  if (response.status === 303) expect(PATHS).toContain(response.headers.get('location'))
  else expect(response.headers.has('location')).toBe(false)
  if ([204, 303].includes(Number(response.status)) || isHead) expect(response.body).toBe('')
  else expect(BODIES.get(response.body)).toBe(response.status)
  expect(unknownHeaders(response)).toEqual([])
  expect([undefined, '0; url=/refused/wrong-link']).toContain(response.headers.get('refresh'))
}

const HEADERS = Object.keys(pages.notFound.headers)
  .concat('Location', 'Date', 'Keep-Alive', 'Refresh')
  .map((name) => name.toLowerCase())
const unknownHeaders = ({ headers }: HttpResponse) => [...headers.keys()].filter((name) => !HEADERS.includes(name))

const isTls = (bytes: string) => bytes.startsWith('\x16')

/** Whether a request has the state exactly once: an independent parser of the bytes that were sent. */
function hasState(bytes: string, path: string, port: number, names: readonly string[], state: string | null): boolean {
  // Without a version it is HTTP/0.9, which Node.js reads as well.
  const [first = '', ...lines] = bytes.replace(/^[\r\n]+/, '').split('\r\n')
  const [, target = ''] = /^GET +([^ ]+)(?: +HTTP\/1\.[01])?$/.exec(first) ?? []
  const hosts = lines.flatMap((line) => /^host:[ \t]*(.*?)[ \t]*$/i.exec(line)?.[1] ?? [])
  if (!target.startsWith(`${path}?`) || !names.some((name) => hosts[0] === `${name}:${port}`)) return false
  // The setter of `URL.search` drops a second question mark.
  const states = new URL(`http://x${target.replace('??', '?')}`).searchParams.getAll('state')
  return state === null || (states.length === 1 && states[0] === state)
}

describe('any request to the callback listener', FUZZ_TIMEOUT, () => {
  it.each([
    ['OAuth', oauth, systemRandom(32).toString('base64url'), ['127.0.0.1']],
    ['hand-off', handoff, systemRandom(32).toString('base64url'), ['localhost', '127.0.0.1', '[::1]']],
    ['hand-off without a state', handoff, null, ['localhost', '127.0.0.1', '[::1]']],
  ])('gets a constant page, and is accepted only with the correct state: %s', async (_name, address, state, names) => {
    const { port, redirectUri, taken, pass, end } = await listen(address, state)
    await check(
      80,
      fc.asyncProperty(hit, async (hit) => {
        const bytes = hit.edits.reduce(edited, bytesOf(hit, port, state ?? 'none'))
        const { text, wasReset } = await exchange(port, bytes, hit.cuts)
        const isHead = isHeadRequest(bytes) // its response has the length of a body that is not sent
        if (text !== '') for (const one of isHead ? [headIn(text)] : responsesIn(text)) expectConstant(one, isHead)
        else expect(wasReset || /^[\r\n]*CONNECT /.test(bytes) || isIncomplete(bytes) || isTls(bytes)).toBe(true)
        const isAcceptable = hasState(bytes, address.path, port, names, state)
        expect(taken.splice(0).length > 0 && !isAcceptable).toBe(false)
        pass()
      }),
    )
    end('signedIn')
    const right = new URL(redirectUri)
    right.search = new URLSearchParams({ code: 'code', ...(state === null ? {} : { state }) }).toString()
    const response = await fetch(right)
    expect([response.status, new URL(response.url).pathname, taken.length]).toEqual([200, '/signed-in', 1])
  })
})
