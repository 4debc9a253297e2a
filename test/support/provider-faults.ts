// What a provider, or a proxy in front of it, can do to a request at the token endpoint: a table of faults and their effects.
import { gzipSync } from 'node:zlib'
import type { Fault, HttpResponse } from '../sandbox/faults.ts'

export const LONG_LIFETIME = 10_000_000 // s; a token that does not expire while the clock moves past backoffs and timeouts
export const PAST_BACKOFF = 400 // s; longer than any backoff
export const PAST_TIMEOUT = 10.5 // s; longer than the timeout of a request

export interface Row {
  /** A verb phrase with the provider as its subject. */
  readonly name: string
  readonly fault: Fault
  /** The effect on a refresh: the error's reason while the session is kept, a new token, or the end of the session. */
  readonly effect: 'network' | 'server' | 'rate_limited' | 'rejected' | 'refreshed' | 'ended'
  /** A sign-in fails although a refresh succeeds. */
  readonly failsSignIn?: true
  /** The access token has expired when it arrives: a sign-in succeeds, but there is no header to give. */
  readonly arrivesExpired?: true
  /** Bounds of `retryAfterSeconds` in the error. */
  readonly retryAfter?: readonly [number, number]
  /** `Retry-After` is a date, that many seconds after the request. */
  readonly retryAfterDate?: number
  /** The answer never ends, so the timeout must act: the test moves the clock on after the request, or after the headers. */
  readonly stallsAfter?: 'request' | 'headers'
}

type Body = Record<string, unknown>

const JSON_TYPE = { 'content-type': 'application/json' }
const HTML_TYPE = { 'content-type': 'text/html' }
const GRANT_ENDED = JSON.stringify({ error: 'invalid_grant', error_description: 'canary' })

const answer = (status: number, body: string | Buffer = '', headers: Record<string, string> = JSON_TYPE): Fault => ({
  kind: 'respond',
  status,
  headers,
  body,
})
const error = (status: number, code: unknown, headers = {}) =>
  answer(status, JSON.stringify({ error: code, error_description: 'canary' }), { ...JSON_TYPE, ...headers })
const replace = (change: Body): Fault => ({ kind: 'replace', body: (given) => ({ ...given, ...change }) })
const alter = (change: (given: HttpResponse) => Partial<HttpResponse>): Fault => ({
  kind: 'alter',
  alter: (given) => ({ ...given, ...change(given) }),
})
const raw = (bytes: string, ends = true): Fault => ({ kind: 'raw', bytes, ends })

/** The row's fault. @param now Unix time in seconds, for a `Retry-After` that is a date */
export function faultOf({ fault, retryAfterDate }: Row, now: number): Fault {
  if (retryAfterDate === undefined || fault.kind !== 'respond') return fault
  const date = new Date((now + retryAfterDate) * 1000).toUTCString()
  return { ...fault, headers: { ...fault.headers, 'retry-after': date } }
}

/** Whether the request reaches the provider, which then rotates the refresh token. */
export function reachesProvider({ fault }: Row): boolean {
  return !['respond', 'raw', 'drop', 'hang'].includes(fault.kind)
}

/** @param elsewhere a URL that must receive no request @param self the URL of the token endpoint */
export function providerFaults(elsewhere: string, self: string): Row[] {
  return [
    ...connections(),
    ...errors(),
    ...retryAfters(),
    ...grantErrors(elsewhere, self),
    ...invalidBodies(),
    ...encodings(),
    ...fields(),
  ]
}

/** Connections that end, stall or are slow, at each stage. */
function connections(): Row[] {
  return [
    { name: 'drops the connection', fault: { kind: 'drop' }, effect: 'network' },
    { name: 'rotates, then drops the connection', fault: { kind: 'dropAfter' }, effect: 'network' },
    { name: 'resets before it answers', fault: { kind: 'reset', at: 'start' }, effect: 'network' },
    { name: 'resets after the headers', fault: { kind: 'reset', at: 'headers' }, effect: 'network' },
    { name: 'resets in the body', fault: { kind: 'reset', at: 'body' }, effect: 'network' },
    { name: 'ends in the body', fault: { kind: 'truncate' }, effect: 'network' },
    { name: 'ends in the status line', fault: raw('HTTP/1.1 2'), effect: 'network' },
    { name: 'ends in the headers', fault: raw('HTTP/1.1 200 OK\r\ncontent-type: appl'), effect: 'network' },
    { name: 'answers in SSH instead of HTTP', fault: raw('SSH-2.0-OpenSSH_9.6\r\n'), effect: 'network' },
    {
      name: 'answers in malformed chunks',
      fault: raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n{}'),
      effect: 'network',
    },
    {
      name: 'sends two different lengths',
      fault: raw('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 9\r\n\r\n{}'),
      effect: 'network',
    },
    {
      name: 'sends 64 KB of headers',
      fault: raw(`HTTP/1.1 200 OK\r\n${`x-flood: ${'y'.repeat(1000)}\r\n`.repeat(64)}\r\n{}`),
      effect: 'network',
    },
    { name: 'never answers', fault: { kind: 'hang' }, effect: 'network', stallsAfter: 'request' },
    { name: 'rotates, then never answers', fault: { kind: 'hangAfter' }, effect: 'network', stallsAfter: 'request' },
    { name: 'stalls in the status line', fault: raw('HTTP/1.1 20', false), effect: 'network', stallsAfter: 'request' },
    {
      name: 'stalls in the headers',
      fault: raw('HTTP/1.1 200 OK\r\na: b', false),
      effect: 'network',
      stallsAfter: 'request',
    },
    { name: 'stalls after the headers', fault: { kind: 'headersOnly' }, effect: 'network', stallsAfter: 'headers' },
    { name: 'stalls in the body', fault: { kind: 'stall' }, effect: 'network', stallsAfter: 'headers' },
    {
      name: 'sends a byte every 20 ms',
      fault: { kind: 'drip', bytes: 1, ms: 20 },
      effect: 'network',
      stallsAfter: 'headers',
    },
    { name: 'answers 30 ms late', fault: { kind: 'delay', ms: 30 }, effect: 'refreshed' },
    { name: 'sends 100 bytes every millisecond', fault: { kind: 'drip', bytes: 100, ms: 1 }, effect: 'refreshed' },
  ]
}

/** Error statuses of HTTP and error codes of OAuth. */
function errors(): Row[] {
  const statuses: [number, Row['effect']][] = [
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
      ([status, effect]): Row => ({
        name: `answers ${status} in HTML`,
        fault: answer(status, '<h1>invalid_grant', HTML_TYPE),
        effect,
      }),
    ),
    { name: 'answers 600', fault: answer(600, '{}'), effect: 'network' },
    { name: 'answers 304', fault: answer(304), effect: 'server' },
    ...['invalid_client', 'invalid_request', 'invalid_scope', 'unauthorized_client', 'made_up'].map(
      (code): Row => ({
        name: `answers ${code}`,
        fault: error(code === 'invalid_client' ? 401 : 400, code),
        effect: 'rejected',
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
      ([retryAfterDate, retryAfter]): Row => ({
        name: `answers 429 with the date ${retryAfterDate} s from now as Retry-After`,
        fault: error(429, 'too_many_requests'),
        effect: 'rate_limited',
        retryAfterDate,
        retryAfter,
      }),
    ),
    ...forms.map(
      ([value, retryAfter]): Row => ({
        name: `answers 429 with Retry-After: ${value.slice(0, 40)}`,
        fault: error(429, 'too_many_requests', { 'retry-after': value }),
        effect: 'rate_limited',
        retryAfter,
      }),
    ),
    { name: 'answers 429 without Retry-After', fault: answer(429), effect: 'rate_limited', retryAfter: [1, 1] },
    {
      name: 'answers 503 with Retry-After: 30',
      fault: answer(503, '', { 'retry-after': '30' }),
      effect: 'server',
      retryAfter: [30, 60],
    },
  ]
}

/** Redirects, answers that resemble `invalid_grant`, and answers that are `invalid_grant`. */
function grantErrors(elsewhere: string, self: string): Row[] {
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
        name: `redirects by ${status} to ${['elsewhere', 'itself', 'a file', 'an empty location'][Math.max(0, n - 4)]} (${n})`,
        fault: answer(status, GRANT_ENDED, { ...JSON_TYPE, location }),
        effect: 'server',
      }),
    ),
    ...[200, 408, 500, 502, 503, 504].map(
      (status): Row => ({
        name: `answers ${status} with invalid_grant in its body`,
        fault: answer(status, GRANT_ENDED),
        effect: 'server',
      }),
    ),
    { name: 'answers 429 with invalid_grant in its body', fault: answer(429, GRANT_ENDED), effect: 'rate_limited' },
    {
      name: 'answers 400 with a truncated invalid_grant',
      fault: answer(400, GRANT_ENDED.slice(0, -1)),
      effect: 'server',
    },
    {
      name: 'answers 400 with a prefix before invalid_grant',
      fault: answer(400, `)]}'\n${GRANT_ENDED}`),
      effect: 'server',
    },
    {
      name: 'answers 400 with an array around invalid_grant',
      fault: answer(400, `[${GRANT_ENDED}]`),
      effect: 'server',
    },
    { name: 'answers 400 with an array as error code', fault: error(400, ['invalid_grant']), effect: 'server' },
    {
      name: 'answers 400 with an object as error code',
      fault: error(400, { code: 'invalid_grant' }),
      effect: 'server',
    },
    { name: 'answers 400 INVALID_GRANT', fault: error(400, 'INVALID_GRANT'), effect: 'rejected' },
    {
      name: 'answers 400 invalid_grant in UTF-16',
      fault: answer(400, Buffer.from(GRANT_ENDED, 'utf16le')),
      effect: 'server',
    },
    { name: 'answers 400 invalid_grant', fault: answer(400, GRANT_ENDED), effect: 'ended' },
    { name: 'answers 401 invalid_grant', fault: answer(401, GRANT_ENDED), effect: 'ended' },
    {
      name: 'answers 400 invalid_grant with a charset',
      fault: answer(400, GRANT_ENDED, { 'content-type': 'application/json;charset=UTF-8' }),
      effect: 'ended',
    },
    { name: 'answers 400 invalid_grant after a BOM', fault: answer(400, `\uFEFF${GRANT_ENDED}`), effect: 'ended' },
    {
      name: 'answers 400 invalid_grant, compressed',
      fault: answer(400, gzipSync(GRANT_ENDED), { ...JSON_TYPE, 'content-encoding': 'gzip' }),
      effect: 'ended',
    },
    {
      name: 'answers 400 invalid_grant with Retry-After',
      fault: error(400, 'invalid_grant', { 'retry-after': '60' }),
      effect: 'ended',
    },
  ]
}

/** Answers with a status of success whose body is not a token response. */
function invalidBodies(): Row[] {
  const bodies: [string, string | Buffer][] = [
    ['an empty body', ''],
    ['a truncated JSON text', '{"access_token":"abc'],
    ['null', 'null'],
    ['an array', '[]'],
    ['a number', '1e400'],
    ['a string', '"access_token"'],
    ['an empty object', '{}'],
    ['bytes that are not UTF-8', Buffer.from([0xff, 0xfe, 0x00, 0xd8])],
    ['100,000 nested arrays', '['.repeat(100_000)],
    ['two JSON texts', '{}{}'],
  ]
  return [
    ...bodies.map(
      ([name, body]): Row => ({ name: `answers 200 with ${name}`, fault: answer(200, body), effect: 'server' }),
    ),
    {
      name: 'answers 200 in HTML',
      fault: answer(200, '<html>Sign in to the Wi-Fi</html>', HTML_TYPE),
      effect: 'server',
    },
    { name: 'answers 204', fault: answer(204), effect: 'server' },
    { name: 'answers with two megabytes', fault: answer(200, `"${'x'.repeat(2 ** 21)}"`), effect: 'network' },
    {
      name: 'answers with a decompression bomb',
      fault: answer(200, gzipSync(Buffer.alloc(2 ** 25)), { ...JSON_TYPE, 'content-encoding': 'gzip' }),
      effect: 'network',
    },
    {
      name: 'labels its answer gzip without compressing it',
      fault: alter(({ headers }) => ({ headers: { ...headers, 'content-encoding': 'gzip' } })),
      effect: 'network',
    },
    {
      name: 'ends in the compressed body',
      fault: alter(({ headers, body }) => ({
        headers: { ...headers, 'content-encoding': 'gzip' },
        body: gzipSync(body).subarray(0, 40),
      })),
      effect: 'server',
    },
  ]
}

/** Valid token responses in unusual encodings. The refresh token has been rotated, so they must be accepted. */
function encodings(): Row[] {
  const typed = (type: string | undefined) =>
    alter(({ headers }) => ({ headers: { ...headers, 'content-type': type } }))
  return [
    { name: 'answers with a charset', fault: typed('application/json; charset=UTF-8'), effect: 'refreshed' },
    { name: 'answers with another charset', fault: typed('application/json; charset=latin1'), effect: 'refreshed' },
    { name: 'labels its JSON text/plain', fault: typed('text/plain'), effect: 'refreshed' },
    {
      name: 'answers after a BOM',
      fault: alter(({ body }) => ({ body: Buffer.concat([Buffer.from('\uFEFF'), body]) })),
      effect: 'refreshed',
    },
    {
      name: 'answers compressed',
      fault: alter(({ headers, body }) => ({
        headers: { ...headers, 'content-encoding': 'gzip' },
        body: gzipSync(body),
      })),
      effect: 'refreshed',
    },
    {
      name: 'sends fields twice',
      fault: alter(({ body }) => ({
        body: Buffer.from(body.toString().replace('{', '{"token_type":"mac","expires_in":"x",')),
      })),
      effect: 'refreshed',
    },
    {
      name: 'sends unknown fields',
      fault: replace({ surprise: { deep: [[['x'.repeat(100_000)]]] } }),
      effect: 'refreshed',
    },
    { name: 'spells the token type in mixed case', fault: replace({ token_type: 'bEaReR' }), effect: 'refreshed' },
  ]
}

/** Token responses with a field that is missing, of a wrong type or out of range. */
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
    ...wrong.map(([name, change]): Row => ({ name: `sends ${name}`, fault: replace(change), effect: 'server' })),
    ...lifetimes.map(
      (value): Row => ({
        name: `sends the lifetime ${JSON.stringify(value)}`,
        fault: replace({ expires_in: value }),
        effect: 'refreshed',
      }),
    ),
    { name: 'sends the lifetime 0', fault: replace({ expires_in: 0 }), effect: 'server', arrivesExpired: true },
    {
      name: 'sends no new refresh token',
      fault: replace({ refresh_token: undefined }),
      effect: 'refreshed',
      failsSignIn: true,
    },
    {
      name: 'sends a malformed ID token',
      fault: replace({ id_token: 'x.y.z' }),
      effect: 'refreshed',
      failsSignIn: true,
    },
    { name: 'sends a scope that is a number', fault: replace({ scope: 5 }), effect: 'refreshed', failsSignIn: true },
  ]
}
