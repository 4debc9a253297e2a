// Fuzzes requests to the broker, at its handler and at its server: only a valid proof gets a token.
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { serveBroker } from '../../src/broker/server.ts'
import { systemClock } from '../../src/host/clock.ts'
import { newBroker } from '../support/broker.ts'
import {
  check,
  cuts,
  type Edit,
  edit,
  edited,
  exchange,
  FUZZ_TIMEOUT,
  headIn,
  isFromNode,
  isHeadRequest,
  isIncomplete,
  latin1,
  readResponse,
  responsesIn,
} from '../support/fuzz.ts'
import { newSandbox } from '../support/world.ts'

const CANARY = 'kanarienvogel' // in every request; in no response
const DAY = 86_400
// Placeholders for the values of a run.
const [REFRESH, SESSION, TOKEN] = ['<refresh>', '<session>', '<token>']
const DESCRIPTIONS: Readonly<Record<number, RegExp>> = {
  400: /^(the parameters of the request are missing or malformed|the session has ended, or the token does not prove it)$/,
  404: /^unknown path/,
  405: /^only POST is allowed$/,
  413: /^the request body is too large$/,
  415: /^expected the content type application\/json$/,
  503: /^(the broker or Clerk is unavailable|this copy of the broker does not have the key of the token)$/,
}

async function newWorld() {
  const sandbox = await newSandbox()
  const sessionId = sandbox.backend.createSession()
  const token = await sandbox.backend.sessionToken(sessionId, { lifetimeSeconds: DAY })
  const world = newBroker(sandbox, { requestsPerMinute: 1e6, sessionTokens: 'unbound' })
  // A bearer token, so that the requests of a run need no proof. The session token is used up here.
  const { body } = await world.exchange(sessionId, token, { dpop: null })
  const refreshToken = String(body.refresh_token)
  const fill = (text: string) =>
    text.replaceAll(REFRESH, refreshToken).replaceAll(SESSION, sessionId).replaceAll(TOKEN, token)
  /** Whether a request proves the session by the wire contract. */
  const proves = (method: string, path: string, type: string, body: string) => {
    if (method !== 'POST' || path !== '/api/auth/refresh' || !/^application\/json *(;|$)/i.test(type)) return false
    const value = parsed(body)
    if (value === undefined || body.length > 16 * 1024) return false
    return value.refresh_token === refreshToken
  }
  return { ...world, sessionId, refreshToken, fill, proves }
}

function parsed(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

const value = fc.oneof(
  fc.constantFrom<unknown>(REFRESH, SESSION, `${REFRESH}x`, `x${REFRESH}`, TOKEN, null, 1, {}, [], [REFRESH], ''),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => `${CANARY}${text}`),
  fc.constantFrom('sess_../../x', 'sess_', 'a.b.c', '....', 'x'.repeat(20_000)),
)
const name = fc.constantFrom('refresh_token', 'refresh_token', 'session_id', '__proto__', 'constructor', CANARY)
const body = fc.oneof(
  {
    arbitrary: fc.constantFrom({ refresh_token: REFRESH }, { session_id: SESSION }).map((one) => JSON.stringify(one)),
    weight: 3,
  },
  {
    arbitrary: fc
      .array(fc.tuple(name, value), { maxLength: 4 })
      .map((members) => `{${members.map((member) => member.map((one) => JSON.stringify(one)).join(':')).join()}}`),
    weight: 4,
  },
  { arbitrary: fc.oneof(fc.json(), latin1(0, 40), fc.constant('['.repeat(10_000))), weight: 1 },
)
const asked = fc.record({
  method: fc.oneof(
    { arbitrary: fc.constant('POST'), weight: 5 },
    { arbitrary: fc.constantFrom('GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'), weight: 1 },
  ),
  path: fc.oneof(
    { arbitrary: fc.constant('/api/auth/refresh'), weight: 5 },
    {
      arbitrary: fc.constantFrom('/api/auth/refresh/', '/API/auth/refresh', '//api/auth/refresh', '/', '/%'),
      weight: 1,
    },
    { arbitrary: fc.webPath().map((path) => `/${CANARY}${path}`), weight: 1 },
  ),
  type: fc.oneof(
    { arbitrary: fc.constantFrom('application/json', 'Application/JSON; charset=utf-8'), weight: 5 },
    { arbitrary: fc.constantFrom('text/plain', 'application/json, text/plain', 'application/jsonx', ''), weight: 1 },
  ),
  authorization: fc.oneof(
    fc.constantFrom(
      `Bearer ${TOKEN}`,
      `bearer ${TOKEN}`,
      TOKEN,
      `Bearer ${TOKEN}x`,
      `Bearer  ${TOKEN}`,
      'Bearer a.b.c',
    ),
    fc.constantFrom('', `Basic ${CANARY}`, `Bearer eyJraWQiOiJ4In0.${CANARY}.x`, 'Bearer bnVsbA.x.y', 'Bearer W10.x.y'),
  ),
  body,
  edits: fc.oneof(
    { arbitrary: fc.constant<Edit[]>([]), weight: 3 },
    { arbitrary: fc.array(edit, { minLength: 1, maxLength: 2 }), weight: 1 },
  ),
})

function expectRefused(status: number | undefined, body: string): void {
  const { error, error_description, ...others } = JSON.parse(body)
  expect(DESCRIPTIONS).toHaveProperty(String(status))
  expect(error_description).toMatch(DESCRIPTIONS[Number(status)] as RegExp)
  expect(['invalid_request', 'invalid_grant', 'temporarily_unavailable', 'unknown_key']).toContain(error)
  expect(others).toEqual({})
}

describe('any request to the broker', FUZZ_TIMEOUT, () => {
  it('gets JSON with the expected status, and a token only for a valid proof', async () => {
    const { broker, refresh, refreshToken, fill, proves, logLines } = await newWorld()
    await check(
      150,
      fc.asyncProperty(asked, async ({ method, path, type, authorization, body, edits }) => {
        const content = edits.reduce(edited, fill(body))
        const headers = { 'content-type': type, authorization: fill(authorization) }
        const isSent = method !== 'GET' && method !== 'HEAD'
        const request = new Request(`http://broker${path}`, { method, headers, ...(isSent ? { body: content } : {}) })
        const response = await broker(request)
        const text = await response.text()
        expect(response.headers.get('cache-control')).toBe('no-store')
        expect(response.headers.get('content-type')).toBe('application/json')
        expect(text).not.toContain(CANARY)
        const isProof = proves(method, path, type, content)
        if (response.status === 200) expect(isProof).toBe(true)
        else expectRefused(response.status, text)
        if (isProof && edits.length === 0) expect(response.status).toBe(200)
        expect(logLines.splice(0).map(({ reason }) => reason)).not.toContain('unexpected')
      }),
      5,
    )
    expect((await refresh(refreshToken)).status).toBe(200)
  })

  it('gets the same response over a socket, in any pieces', async () => {
    const { broker, refresh, refreshToken, fill, proves } = await newWorld()
    const server = await serveBroker(broker, { host: '127.0.0.1', port: 0, clock: systemClock })
    onTestFinished(() => server.close())
    const port = Number(new URL(server.url).port)
    const wire = fc.record({
      asked,
      method: fc.option(fc.constantFrom('TRACE', 'M-SEARCH', 'CONNECT', 'PROPFIND', 'SOURCE'), { freq: 6 }),
      target: fc.option(fc.constantFrom('*', 'http://evil.example/', '/healthz', '//', '/api/auth/refresh?x'), {
        freq: 6,
      }),
      length: fc.option(fc.constantFrom('0', '1', '-1', '1e9', '100000'), { freq: 8 }),
      header: fc.option(
        fc.constantFrom('Transfer-Encoding: chunked', 'Expect: 100-continue', 'Host: a', 'Connection: close'),
      ),
      headEdits: fc.oneof(
        { arbitrary: fc.constant<Edit[]>([]), weight: 2 },
        { arbitrary: fc.array(edit, { maxLength: 2 }), weight: 1 },
      ),
      cuts,
    })
    await check(
      80,
      fc.asyncProperty(wire, async ({ asked, method, target, length, header, headEdits, cuts }) => {
        const content = Buffer.from(asked.edits.reduce(edited, fill(asked.body))).toString('latin1')
        const lines = [
          `${method ?? asked.method} ${target ?? asked.path} HTTP/1.1`,
          'Host: broker',
          `Content-Type: ${asked.type}`,
          `Authorization: ${fill(asked.authorization)}`,
          `Content-Length: ${length ?? content.length}`,
          ...(header === null ? [] : [header]),
        ]
        const head = headEdits.reduce(edited, lines.join('\r\n'))
        const bytes = `${head}\r\n\r\n${content}`
        const { text, wasReset } = await exchange(port, bytes, cuts, isIncompleteRequest(bytes))
        expect(text).not.toContain(CANARY)
        if (text === '') {
          expect(wasReset || isIncompleteRequest(bytes) || /^[\r\n]*CONNECT /.test(bytes)).toBe(true)
          return
        }
        const isHead = isHeadRequest(bytes)
        for (const one of isHead ? [headIn(text)] : responsesIn(text)) {
          const { status, body, headers } = readResponse(one)
          if (isFromNode(one) || (status === 200 && body === 'ok')) continue
          expect(headers.get('cache-control')).toBe('no-store')
          if (status === 200 && !isHead) {
            const word = Buffer.from(content, 'latin1').toString()
            const sent = length === null || length === '0' ? word : word.slice(0, Number(length))
            const isProof = proves('POST', '/api/auth/refresh', asked.type, sent)
            expect(isProof || headEdits.length > 0).toBe(true)
          } else if (status !== 200 && !isHead) expectRefused(status, body)
        }
      }),
      5,
    )
    expect((await refresh(refreshToken)).status).toBe(200)
  })
})

/** Whether the server waits for more bytes. */
function isIncompleteRequest(bytes: string): boolean {
  const at = bytes.indexOf('\r\n\r\n')
  const [, length = '0'] = /^content-length:[ \t]*(\d+)/im.exec(bytes.slice(0, at)) ?? []
  return (
    isIncomplete(bytes) || /^transfer-encoding:/im.test(bytes.slice(0, at)) || Number(length) > bytes.length - at - 4
  )
}
