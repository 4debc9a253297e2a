// What a provider, or something between it and us, can do to a request at the token endpoint: a table for tests to run.
import { gzipSync } from 'node:zlib'
import type { Answer, Fault } from '../sandbox/faults.ts'

export interface Row {
  readonly name: string
  readonly fault: Fault
  /**
   * What it means for a refresh: it fails and changes nothing, with this reason; it is good enough; or the provider has
   * said that the session is over.
   */
  readonly means: 'network' | 'server' | 'rate_limited' | 'rejected' | 'good' | 'ended'
  /** Where a sign-in is stricter: what it is not to believe. */
  readonly signInFails?: true
  /** How long to wait is said, in seconds: at least and at most. */
  readonly waits?: readonly [number, number]
  /** So many seconds after the request, as a date, is its Retry-After. */
  readonly retryAt?: number
  /** It never ends by itself: our own deadline must. After what the clock may go on. */
  readonly slow?: 'request' | 'headers'
}

type Body = Record<string, unknown>

const JSON_TYPE = { 'content-type': 'application/json' }
const HTML_TYPE = { 'content-type': 'text/html' }
const GRANT_ENDED = JSON.stringify({ error: 'invalid_grant', error_description: 'canary' })

const answer = (status: number, body: string | Buffer = '', headers: Record<string, string> = JSON_TYPE): Fault => ({
  kind: 'answer',
  status,
  headers,
  body,
})
const error = (status: number, code: unknown, headers = {}) =>
  answer(status, JSON.stringify({ error: code, error_description: 'canary' }), { ...JSON_TYPE, ...headers })
const replace = (change: Body): Fault => ({ kind: 'replace', body: (given) => ({ ...given, ...change }) })
const alter = (change: (given: Answer) => Partial<Answer>): Fault => ({
  kind: 'alter',
  alter: (given) => ({ ...given, ...change(given) }),
})
const raw = (bytes: string, ends = true): Fault => ({ kind: 'raw', bytes, ends })

/** What is played for a row at this moment, by the wall clock. */
export function faultOf({ fault, retryAt }: Row, now: number): Fault {
  if (retryAt === undefined || fault.kind !== 'answer') return fault
  const date = new Date((now + retryAt) * 1000).toUTCString()
  return { ...fault, headers: { ...fault.headers, 'retry-after': date } }
}

/** Whether the provider itself sees the request, and rotates. */
export function reachesProvider({ fault }: Row): boolean {
  return !['answer', 'raw', 'drop', 'hang'].includes(fault.kind)
}

/** @param elsewhere an address that nobody may ever be sent to @param self the address of the token endpoint */
export function providerFaults(elsewhere: string, self: string): Row[] {
  return [
    ...connections(),
    ...errors(),
    ...retryAfters(),
    ...lookalikes(elsewhere, self),
    ...nonsense(),
    ...encodings(),
    ...fields(),
  ]
}

/** Cut, slow and silent, at each stage. */
function connections(): Row[] {
  return [
    { name: 'drops the connection', fault: { kind: 'drop' }, means: 'network' },
    { name: 'rotates, then drops the connection', fault: { kind: 'dropAfter' }, means: 'network' },
    { name: 'resets before it answers', fault: { kind: 'reset', at: 'start' }, means: 'network' },
    { name: 'resets after the headers', fault: { kind: 'reset', at: 'headers' }, means: 'network' },
    { name: 'resets in the body', fault: { kind: 'reset', at: 'body' }, means: 'network' },
    { name: 'ends in the body', fault: { kind: 'truncate' }, means: 'network' },
    { name: 'ends in the status line', fault: raw('HTTP/1.1 2'), means: 'network' },
    { name: 'ends in the headers', fault: raw('HTTP/1.1 200 OK\r\ncontent-type: appl'), means: 'network' },
    { name: 'answers something else than HTTP', fault: raw('SSH-2.0-OpenSSH_9.6\r\n'), means: 'network' },
    {
      name: 'answers in chunks that are none',
      fault: raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n{}'),
      means: 'network',
    },
    {
      name: 'contradicts itself about the length',
      fault: raw('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 9\r\n\r\n{}'),
      means: 'network',
    },
    {
      name: 'floods with headers',
      fault: raw(`HTTP/1.1 200 OK\r\n${`x-flood: ${'y'.repeat(1000)}\r\n`.repeat(64)}\r\n{}`),
      means: 'network',
    },
    { name: 'never answers', fault: { kind: 'hang' }, means: 'network', slow: 'request' },
    { name: 'rotates, and never answers', fault: { kind: 'hangAfter' }, means: 'network', slow: 'request' },
    { name: 'stalls in the status line', fault: raw('HTTP/1.1 20', false), means: 'network', slow: 'request' },
    { name: 'stalls in the headers', fault: raw('HTTP/1.1 200 OK\r\na: b', false), means: 'network', slow: 'request' },
    { name: 'stalls after the headers', fault: { kind: 'headersOnly' }, means: 'network', slow: 'headers' },
    { name: 'stalls in the body', fault: { kind: 'stall' }, means: 'network', slow: 'headers' },
    { name: 'drips a byte now and then', fault: { kind: 'drip', bytes: 1, ms: 20 }, means: 'network', slow: 'headers' },
    { name: 'is late, but in time', fault: { kind: 'delay', ms: 30 }, means: 'good' },
    { name: 'drips, but in time', fault: { kind: 'drip', bytes: 100, ms: 1 }, means: 'good' },
  ]
}

/** What OAuth and HTTP have codes for. */
function errors(): Row[] {
  const statuses: [number, Row['means']][] = [
    [400, 'server'],
    [403, 'server'],
    [404, 'server'],
    [405, 'server'],
    [408, 'server'],
    [409, 'server'],
    [418, 'server'],
    [451, 'server'],
    [500, 'server'],
    [502, 'server'],
    [503, 'server'],
    [504, 'server'],
    [529, 'server'],
    [599, 'server'],
  ]
  return [
    ...statuses.map(
      ([status, means]): Row => ({
        name: `says ${status} in HTML`,
        fault: answer(status, '<h1>invalid_grant', HTML_TYPE),
        means,
      }),
    ),
    { name: 'says 600', fault: answer(600, '{}'), means: 'network' },
    { name: 'says 304', fault: answer(304), means: 'server' },
    ...['invalid_client', 'invalid_request', 'invalid_scope', 'unauthorized_client', 'made_up'].map(
      (code): Row => ({
        name: `says ${code}`,
        fault: error(code === 'invalid_client' ? 401 : 400, code),
        means: 'rejected',
      }),
    ),
  ]
}

function retryAfters(): Row[] {
  const forms: [string, readonly [number, number]][] = [
    ['7', [7, 14]],
    ['0', [1, 1]],
    ['120', [120, 150]],
    ['86400', [300, 330]],
    ['9'.repeat(400), [300, 330]],
    ['-5', [1, 1]],
    ['1.5', [1, 1]],
    ['soon', [1, 1]],
    ['', [1, 1]],
  ]
  const dates: [number, readonly [number, number]][] = [
    [120, [120, 150]],
    [-120, [1, 1]],
    [1e9, [300, 330]],
  ]
  return [
    ...dates.map(
      ([retryAt, waits]): Row => ({
        name: `says 429 with the date ${retryAt} s from now as Retry-After`,
        fault: error(429, 'too_many_requests'),
        means: 'rate_limited',
        retryAt,
        waits,
      }),
    ),
    ...forms.map(
      ([value, waits]): Row => ({
        name: `says 429 with Retry-After: ${value.slice(0, 40)}`,
        fault: error(429, 'too_many_requests', { 'retry-after': value }),
        means: 'rate_limited',
        waits,
      }),
    ),
    { name: 'says 429 and no more', fault: answer(429), means: 'rate_limited', waits: [1, 1] },
    {
      name: 'says 503 with Retry-After: 30',
      fault: answer(503, '', { 'retry-after': '30' }),
      means: 'server',
      waits: [30, 60],
    },
  ]
}

/** What looks like `invalid_grant` and is not; what is; and where a redirect would lead. */
function lookalikes(elsewhere: string, self: string): Row[] {
  const redirects: [number, string][] = [
    [301, elsewhere],
    [302, elsewhere],
    [303, elsewhere],
    [307, elsewhere],
    [308, elsewhere],
    [307, self],
    [307, 'file:///etc/passwd'],
    [302, ''],
  ]
  return [
    ...redirects.map(
      ([status, location], n): Row => ({
        name: `says ${status} to ${['elsewhere', 'itself', 'a file', 'nowhere'][Math.max(0, n - 4)]} (${n})`,
        fault: answer(status, GRANT_ENDED, { ...JSON_TYPE, location }),
        means: 'server',
      }),
    ),
    ...[200, 408, 500, 502, 503, 504].map(
      (status): Row => ({
        name: `says ${status} with invalid_grant in it`,
        fault: answer(status, GRANT_ENDED),
        means: 'server',
      }),
    ),
    { name: 'says 429 with invalid_grant in it', fault: answer(429, GRANT_ENDED), means: 'rate_limited' },
    { name: 'says 400 with half an invalid_grant', fault: answer(400, GRANT_ENDED.slice(0, -1)), means: 'server' },
    { name: 'says 400 with something before it', fault: answer(400, `)]}'\n${GRANT_ENDED}`), means: 'server' },
    { name: 'says 400 with a list around it', fault: answer(400, `[${GRANT_ENDED}]`), means: 'server' },
    { name: 'says 400 with a list of it', fault: error(400, ['invalid_grant']), means: 'server' },
    { name: 'says 400 with an object of it', fault: error(400, { code: 'invalid_grant' }), means: 'server' },
    { name: 'says 400 and INVALID_GRANT', fault: error(400, 'INVALID_GRANT'), means: 'rejected' },
    { name: 'says 400 in UTF-16', fault: answer(400, Buffer.from(GRANT_ENDED, 'utf16le')), means: 'server' },
    { name: 'says 400 invalid_grant', fault: answer(400, GRANT_ENDED), means: 'ended' },
    { name: 'says 401 invalid_grant', fault: answer(401, GRANT_ENDED), means: 'ended' },
    {
      name: 'says 400 invalid_grant and a charset',
      fault: answer(400, GRANT_ENDED, { 'content-type': 'application/json;charset=UTF-8' }),
      means: 'ended',
    },
    { name: 'says 400 invalid_grant after a BOM', fault: answer(400, `\uFEFF${GRANT_ENDED}`), means: 'ended' },
    {
      name: 'says 400 invalid_grant, compressed',
      fault: answer(400, gzipSync(GRANT_ENDED), { ...JSON_TYPE, 'content-encoding': 'gzip' }),
      means: 'ended',
    },
    {
      name: 'says 400 invalid_grant, and to wait',
      fault: error(400, 'invalid_grant', { 'retry-after': '60' }),
      means: 'ended',
    },
  ]
}

/** An answer of success that is none. */
function nonsense(): Row[] {
  const bodies: [string, string | Buffer][] = [
    ['nothing', ''],
    ['half a JSON', '{"access_token":"abc'],
    ['null', 'null'],
    ['a list', '[]'],
    ['a number', '1e400'],
    ['a text', '"access_token"'],
    ['an empty object', '{}'],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00, 0xd8])],
    ['JSON nested without end', '['.repeat(100_000)],
    ['two JSONs', '{}{}'],
  ]
  return [
    ...bodies.map(([name, body]): Row => ({ name: `says 200 and ${name}`, fault: answer(200, body), means: 'server' })),
    { name: 'says 200 in HTML', fault: answer(200, '<html>Sign in to the Wi-Fi</html>', HTML_TYPE), means: 'server' },
    { name: 'says 204', fault: answer(204), means: 'server' },
    { name: 'answers two megabytes', fault: answer(200, `"${'x'.repeat(2 ** 21)}"`), means: 'network' },
    {
      name: 'answers a bomb',
      fault: answer(200, gzipSync(Buffer.alloc(2 ** 25)), { ...JSON_TYPE, 'content-encoding': 'gzip' }),
      means: 'network',
    },
    {
      name: 'says gzip, and is not',
      fault: alter(({ headers }) => ({ headers: { ...headers, 'content-encoding': 'gzip' } })),
      means: 'network',
    },
    {
      name: 'ends in the compressed body',
      fault: alter(({ headers, body }) => ({
        headers: { ...headers, 'content-encoding': 'gzip' },
        body: gzipSync(body).subarray(0, 40),
      })),
      means: 'server',
    },
  ]
}

/** The right answer in odd clothes: it has rotated, so that what can be understood must be. */
function encodings(): Row[] {
  const typed = (type: string | undefined) =>
    alter(({ headers }) => ({ headers: { ...headers, 'content-type': type } }))
  return [
    { name: 'answers with a charset', fault: typed('application/json; charset=UTF-8'), means: 'good' },
    { name: 'answers with another charset', fault: typed('application/json; charset=latin1'), means: 'good' },
    { name: 'calls its JSON a text', fault: typed('text/plain'), means: 'good' },
    {
      name: 'answers after a BOM',
      fault: alter(({ body }) => ({ body: Buffer.concat([Buffer.from('\uFEFF'), body]) })),
      means: 'good',
    },
    {
      name: 'answers compressed',
      fault: alter(({ headers, body }) => ({
        headers: { ...headers, 'content-encoding': 'gzip' },
        body: gzipSync(body),
      })),
      means: 'good',
    },
    {
      name: 'says each thing twice',
      fault: alter(({ body }) => ({
        body: Buffer.from(body.toString().replace('{', '{"token_type":"mac","expires_in":"x",')),
      })),
      means: 'good',
    },
    {
      name: 'says more than is asked',
      fault: replace({ surprise: { deep: [[['x'.repeat(100_000)]]] } }),
      means: 'good',
    },
    { name: 'spells the token type as it likes', fault: replace({ token_type: 'bEaReR' }), means: 'good' },
  ]
}

/** Each field missing, of a wrong type, or beyond its bounds. */
function fields(): Row[] {
  const wrong: [string, Body][] = [
    ...['', 5, null, {}, ['a'], 'a b', 'a\r\nX-Evil: y', 'ü'].map((value): [string, Body] => [
      `the access token ${JSON.stringify(value)}`,
      { access_token: value },
    ]),
    ['no access token', { access_token: undefined }],
    ['no token type', { token_type: undefined }],
    ...['mac', 'DPoP', '', 5, null].map((value): [string, Body] => [
      `the token type ${JSON.stringify(value)}`,
      { token_type: value },
    ]),
    ...['', 5, {}, ['a']].map((value): [string, Body] => [
      `the refresh token ${JSON.stringify(value)}`,
      { refresh_token: value },
    ]),
  ]
  const lifetimes = ['3600', '1e12', 'soon', 'NaN', '', -1, 1e12, 1e308, true, null, [60], {}, undefined]
  return [
    ...wrong.map(([name, change]): Row => ({ name: `gives ${name}`, fault: replace(change), means: 'server' })),
    ...lifetimes.map(
      (value): Row => ({
        name: `gives the lifetime ${JSON.stringify(value)}`,
        fault: replace({ expires_in: value }),
        means: 'good',
      }),
    ),
    { name: 'gives the lifetime 0', fault: replace({ expires_in: 0 }), means: 'server' },
    {
      name: 'gives no new refresh token',
      fault: replace({ refresh_token: undefined }),
      means: 'good',
      signInFails: true,
    },
    { name: 'gives a broken ID token', fault: replace({ id_token: 'x.y.z' }), means: 'good', signInFails: true },
    { name: 'gives a scope that is a number', fault: replace({ scope: 5 }), means: 'good', signInFails: true },
  ]
}
