// The broker against the sandbox's Clerk, through Clerk's own SDK: who gets a token, who does not, and whose fault it is.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { createRemoteJWKSet, decodeJwt, importJWK, type JWK, jwtVerify, SignJWT } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { serveBroker } from '../../src/broker/server.ts'
import { systemClock } from '../../src/host/clock.ts'
import { newSigningKey } from '../sandbox/keys.ts'
import { newBroker, newKey } from '../support/broker.ts'
import { TestClock } from '../support/clock.ts'
import { PROGRAM, runProgram, temporaryFolder } from '../support/program.ts'
import { sendRaw } from '../support/raw.ts'
import { newSandbox } from '../support/world.ts'

async function newWorld(over: Parameters<typeof newBroker>[1] = {}) {
  const sandbox = await newSandbox()
  const { backend } = sandbox
  const sessionId = backend.createSession()
  const all = newBroker(sandbox, over)
  /** The first exchange, done. */
  const begin = async () => {
    const { body } = await all.first(sessionId, await backend.sessionToken(sessionId))
    return String(body.refresh_token)
  }
  return { sandbox, backend, sessionId, begin, ...all }
}

const tokensPath = (id: string) => `/v1/sessions/${id}/tokens`
const sessionPath = (id: string) => `/v1/sessions/${id}`

describe('a refresh', () => {
  it('trades a session token that still lives for a new one and a refresh token', async () => {
    const { sandbox, backend, sessionId, first } = await newWorld()
    const token = await backend.sessionToken(sessionId, { azp: 'https://www.example.com' })
    const { status, headers, body } = await first(sessionId, token)
    expect({ status, cache: headers.get('cache-control') }).toEqual({ status: 200, cache: 'no-store' })
    expect(body).toEqual({
      token: expect.any(String),
      expires_in: 60,
      session_id: sessionId,
      refresh_token: expect.stringMatching(/^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/),
      session_expires_at: expect.any(Number),
    })
    const keys = createRemoteJWKSet(new URL(`${sandbox.issuer}/.well-known/jwks.json`))
    const { payload } = await jwtVerify(String(body.token), keys, { issuer: sandbox.issuer })
    expect(payload).toMatchObject({ sub: sandbox.user.id, sid: sessionId })
    const week = Date.now() / 1000 + 7 * 86_400
    expect(Math.abs(Number(body.session_expires_at) - week)).toBeLessThan(60)
  })

  it('goes on with the refresh token, again and again, and with the one before where an answer was lost', async () => {
    const { begin, refresh } = await newWorld()
    const one = await begin()
    const lost = await refresh(one)
    const again = await refresh(one)
    const next = await refresh(again.body.refresh_token)
    expect([lost.status, again.status, next.status]).toEqual([200, 200, 200])
  })

  it('takes a token from a template, which names no session, for the person’s own session alone', async () => {
    const { backend, sessionId, first } = await newWorld()
    backend.addTemplate('cadzero', 900)
    const token = await backend.sessionToken(sessionId, { template: 'cadzero' })
    expect((await first(sessionId, token)).status).toBe(200)
    const others = backend.createSession({ userId: 'user_2other' })
    expect(await first(others, token)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
  })

  it('makes tokens from the template and with the lifetime that are set', async () => {
    const fromTemplate = await newWorld({ template: 'cadzero' })
    fromTemplate.backend.addTemplate('cadzero', 900)
    const { body } = await fromTemplate.refresh(await fromTemplate.begin())
    expect(body.expires_in).toBe(900)
    expect(decodeJwt(String(body.token)).sid).toBeUndefined()
    const long = await newWorld({ tokenSeconds: 300 })
    expect((await long.refresh(await long.begin())).body.expires_in).toBe(300)
  })

  it('is the same at any copy that has the key', async () => {
    const { sandbox, begin, options } = await newWorld()
    const other = newBroker(sandbox, options)
    expect((await other.refresh(await begin())).status).toBe(200)
  })

  it('opens what older keys have sealed, so that a key can be changed', async () => {
    const { sandbox, begin, options } = await newWorld()
    const old = await begin()
    const changed = newBroker(sandbox, { ...options, keys: [newKey(), ...options.keys] })
    const { status, body } = await changed.refresh(old)
    expect(status).toBe(200)
    const later = newBroker(sandbox, { ...options, keys: [newKey()] })
    expect((await later.refresh(body.refresh_token)).body.error).toBe('invalid_grant')
  })
})

describe('a session that is gone', () => {
  it.each(['revoked', 'ended', 'expired', 'removed', 'abandoned', 'replaced'] as const)(
    'because it is %s gets invalid_grant',
    async (status) => {
      const { backend, sessionId, begin, refresh, first } = await newWorld()
      const [refreshToken, token] = [await begin(), await backend.sessionToken(sessionId)]
      backend.end(sessionId, status)
      expect(await refresh(refreshToken)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
      expect(await first(sessionId, token)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    },
  )

  it('because Clerk knows no such session, or refuses its user, gets invalid_grant', async () => {
    const { sandbox, backend, sessionId, begin, refresh, options } = await newWorld()
    const refreshToken = await begin()
    const elsewhere = await newSandbox()
    const other = newBroker(elsewhere, { keys: options.keys, issuers: options.issuers })
    expect(await other.refresh(refreshToken)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    expect(backend.status(sessionId)).toBe('active')
    backend.ban(sandbox.user.id)
    expect(await refresh(refreshToken)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
  })

  it('that waits for the person is not gone, and gets no token', async () => {
    const { backend, sessionId, begin, refresh } = await newWorld()
    const refreshToken = await begin()
    backend.end(sessionId, 'pending')
    expect(await refresh(refreshToken)).toMatchObject({ status: 400, body: { error: 'interaction_required' } })
    backend.end(sessionId, 'active')
    expect((await refresh(refreshToken)).status).toBe(200)
  })
})

describe('what proves nothing', () => {
  const invalid = { status: 400, body: { error: 'invalid_grant' } }

  it('is a token that is over, forged, another instance’s, another session’s or another person’s', async () => {
    const { sandbox, backend, sessionId, first } = await newWorld()
    const other = backend.createSession({ userId: 'user_2other' })
    const second = backend.createSession() // the same person’s
    const key = await newSigningKey()
    const forged = await new SignJWT({ sid: sessionId })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: String(key.jwk.kid) })
      .setIssuer(sandbox.issuer)
      .setSubject(sandbox.user.id)
      .setIssuedAt()
      .setExpirationTime('1m')
      .sign(await importJWK(key.jwk as JWK, 'RS256'))
    const tokens = [
      forged,
      await backend.sessionToken(sessionId, { issuedSecondsAgo: 120 }),
      await backend.sessionToken(sessionId, { claims: { iss: 'https://clerk.other.example' } }),
      await backend.sessionToken(other),
      await backend.sessionToken(second),
      await backend.sessionToken(sessionId, { claims: { sub: 'user_2other' } }),
      (await backend.sessionToken(sessionId)).replace(/\.[^.]+$/, '.AAAA'),
    ]
    for (const token of tokens) expect(await first(sessionId, token)).toMatchObject(invalid)
    expect(sandbox.count(tokensPath(other))).toBe(0)
  })

  it('is a token for another site, where parties are named; one of the Backend API has none and passes', async () => {
    const { backend, sessionId, first } = await newWorld({ authorizedParties: ['https://www.example.com'] })
    const [evil, right, none] = await Promise.all(
      ['https://evil.example', 'https://www.example.com', undefined].map((azp) =>
        backend.sessionToken(sessionId, azp === undefined ? {} : { azp }),
      ),
    )
    expect(await first(sessionId, String(evil))).toMatchObject(invalid)
    expect((await first(sessionId, String(right))).status).toBe(200)
    expect((await first(sessionId, String(none))).status).toBe(200)
  })

  it('is a refresh token with any one character changed, cut short, or made up', async () => {
    const { begin, refresh } = await newWorld({ requestsPerMinute: 1000 })
    const token = await begin()
    for (let at = 0; at < token.length; at += 7) {
      const changed = token[at] === 'A' ? 'B' : 'A'
      const { body } = await refresh(token.slice(0, at) + changed + token.slice(at + 1))
      expect(body.error, `character ${at}`).toBe('invalid_grant')
    }
    for (const made of [token.slice(0, -5), 'abc', '....', `${token}.`])
      expect(await refresh(made)).toMatchObject(invalid)
  })

  it('is a refresh token that is outdated, by its session’s end or by its own age', async () => {
    const clock = new TestClock(Date.now() / 1000)
    const { begin, refresh } = await newWorld({ clock, refreshTokenSeconds: 3600 })
    const token = await begin()
    clock.advance(3590)
    expect((await refresh(token)).status).toBe(200)
    clock.advance(20)
    expect(await refresh(token)).toMatchObject(invalid)
  })

  it('is a token of a broker that serves other instances', async () => {
    const { sandbox, begin, options } = await newWorld()
    const other = newBroker(sandbox, { ...options, issuers: ['https://clerk.other.example'] })
    expect(await other.refresh(await begin())).toMatchObject(invalid)
  })
})

describe('trouble at Clerk, or with the set-up, signs nobody out', () => {
  const answer = (status: number, headers: Record<string, string> = {}, body = '') =>
    ({ kind: 'answer', status, headers: { 'content-type': 'application/json', ...headers }, body }) as const
  const refused = (status: number, code: string) =>
    answer(status, {}, JSON.stringify({ errors: [{ message: code, long_message: code, code }] }))
  const faults = [
    ['no connection', { kind: 'drop' }, 503, 'temporarily_unavailable'],
    ['an answer that never comes', { kind: 'hang' }, 503, 'temporarily_unavailable'],
    ['429', answer(429, { 'retry-after': '7' }, '{"errors":[]}'), 429, 'temporarily_unavailable'],
    ['500', refused(500, 'internal_clerk_error'), 503, 'temporarily_unavailable'],
    ['503', refused(503, 'service_unavailable'), 503, 'temporarily_unavailable'],
    ['a page of a proxy', { kind: 'answer', status: 502, body: '<html>' }, 503, 'temporarily_unavailable'],
    ['nonsense that succeeds', { kind: 'answer', status: 200, body: '<html>' }, 502, 'server_error'],
    ['half a JSON', { kind: 'truncate' }, 503, 'temporarily_unavailable'],
    ['a secret key that is wrong', refused(401, 'clerk_key_invalid'), 500, 'server_error'],
    ['a plan that does not allow it', refused(402, 'unsupported_subscription_plan_features'), 500, 'server_error'],
  ] as const

  it.each(faults)('%s', async (_what, fault, status, error) => {
    const { sandbox, sessionId, begin, refresh, lines } = await newWorld({ deadlineSeconds: 1 })
    const token = await begin()
    for (const path of [sessionPath(sessionId), tokensPath(sessionId)]) {
      sandbox.script(path, fault)
      const given = await refresh(token)
      expect(given, path).toMatchObject({ status, body: { error } })
      expect(given.headers.get('retry-after'), path).toBe(status === 429 ? '7' : status === 503 ? '5' : null)
    }
    expect((await refresh(token)).status).toBe(200)
    expect(lines.filter(({ status }) => status !== 200)).toHaveLength(2)
  })

  it('a template that is missing is the operator’s mistake, though Clerk answers as for a missing session', async () => {
    const { begin, sandbox, options, lines } = await newWorld()
    const other = newBroker(sandbox, { ...options, template: 'misspelt' })
    expect(await other.refresh(await begin())).toMatchObject({ status: 500, body: { error: 'server_error' } })
    expect(lines.at(-1)).toMatchObject({ event: 'failed', reason: 'no_template' })
  })

  it('and keys that cannot be fetched say nothing of a token', async () => {
    const { sandbox, backend, sessionId, first } = await newWorld({ deadlineSeconds: 1 })
    sandbox.script('/v1/jwks', { kind: 'hang' })
    const token = await backend.sessionToken(sessionId)
    expect(await first(sessionId, token)).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } })
    expect((await first(sessionId, token)).status).toBe(200)
  })
})

describe('logging out', () => {
  it('revokes the session at Clerk, twice if need be, and with an outdated token as well', async () => {
    const clock = new TestClock(Date.now() / 1000)
    const { backend, sessionId, begin, logout, refresh } = await newWorld({ clock, refreshTokenSeconds: 60 })
    const token = await begin()
    clock.advance(120)
    expect(await logout(token)).toMatchObject({ status: 200, body: { revoked: true } })
    expect(backend.status(sessionId)).toBe('revoked')
    expect((await logout(token)).body).toEqual({ revoked: true })
    expect((await refresh(token)).body.error).toBe('invalid_grant')
  })

  it('takes nothing but the broker’s own token, and says where Clerk could not be told', async () => {
    const { sandbox, backend, sessionId, begin, logout, post } = await newWorld()
    const token = await begin()
    expect(await logout('made.up')).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    const bearer = await backend.sessionToken(sessionId)
    const bySession = await post('/api/auth/logout', { session_id: sessionId }, bearer)
    expect(bySession).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
    sandbox.script(`${sessionPath(sessionId)}/revoke`, { kind: 'drop' })
    expect(await logout(token)).toMatchObject({ status: 503 })
    expect(backend.status(sessionId)).toBe('active')
  })
})

describe('a request', () => {
  const json = { 'content-type': 'application/json' }
  const bad: [string, string, RequestInit, number][] = [
    ['another path', '/api/auth/other', { method: 'POST', headers: json, body: '{}' }, 404],
    ['another method', '/api/auth/refresh', { method: 'GET' }, 405],
    ['a preflight', '/api/auth/refresh', { method: 'OPTIONS', headers: { origin: 'https://evil.example' } }, 405],
    ['a form', '/api/auth/refresh', { method: 'POST', body: new URLSearchParams({ refresh_token: 'x' }) }, 415],
    ['half a JSON', '/api/auth/refresh', { method: 'POST', headers: json, body: '{"refresh' }, 400],
    ['a list', '/api/auth/refresh', { method: 'POST', headers: json, body: '[]' }, 400],
    ['nothing', '/api/auth/refresh', { method: 'POST', headers: json, body: '{}' }, 400],
    ['a number for a token', '/api/auth/refresh', { method: 'POST', headers: json, body: '{"refresh_token":1}' }, 400],
    [
      'a session and no token',
      '/api/auth/refresh',
      { method: 'POST', headers: json, body: '{"session_id":"sess_2a"}' },
      400,
    ],
    [
      '20 KB',
      '/api/auth/refresh',
      { method: 'POST', headers: json, body: JSON.stringify({ a: 'x'.repeat(20_000) }) },
      413,
    ],
    [
      'a path for a session',
      '/api/auth/refresh',
      { method: 'POST', headers: { ...json, authorization: 'Bearer a.b.c' }, body: '{"session_id":"../users"}' },
      400,
    ],
  ]

  it.each(bad)('with %s gets a clear error, and Clerk is not asked', async (_what, path, init, status) => {
    const { send, sandbox } = await newWorld()
    const given = await send(path, init)
    expect(given).toMatchObject({ status, body: { error: 'invalid_request', error_description: expect.any(String) } })
    expect(given.headers.get('access-control-allow-origin')).toBeNull()
    expect(given.headers.get('allow')).toBe(status === 405 ? 'POST' : null)
    expect(sandbox.requests).toEqual([])
  })

  it('too many of one session are told when to come again, and no other session is', async () => {
    const clock = new TestClock(Date.now() / 1000)
    const { backend, begin, refresh, first } = await newWorld({ clock, requestsPerMinute: 6 })
    const token = await begin()
    const answers = []
    for (let n = 0; n < 8; n++) answers.push(await refresh(token))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 429, 429, 429])
    expect(answers.at(-1)?.headers.get('retry-after')).toBe('10')
    const other = backend.createSession()
    expect((await first(other, await backend.sessionToken(other))).status).toBe(200)
    clock.advance(10)
    expect((await refresh(token)).status).toBe(200)
  })

  it('with made-up key ids cannot make the broker ask Clerk for its keys without end', async () => {
    const { sandbox, sessionId, first } = await newWorld()
    const key = await newSigningKey()
    const privateKey = await importJWK(key.jwk as JWK, 'RS256')
    for (let n = 0; n < 60; n++) {
      const token = await new SignJWT({ sid: sessionId })
        .setProtectedHeader({ alg: 'RS256', kid: `ins_2made${n}` })
        .setIssuer(sandbox.issuer)
        .setSubject(sandbox.user.id)
        .setIssuedAt()
        .setExpirationTime('1m')
        .sign(privateKey)
      expect((await first(sessionId, token)).status).toBeGreaterThanOrEqual(400)
    }
    expect(sandbox.count('/v1/jwks')).toBeLessThanOrEqual(31)
  })

  it('that breaks off half-way is its sender’s matter, and no failure in the log', async () => {
    const { broker, lines } = await newWorld()
    const body = new ReadableStream({ pull: (stream) => stream.error(new Error('hung up')) })
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body, duplex: 'half' }
    const response = await broker(new Request('http://broker/api/auth/refresh', init as RequestInit))
    expect(response.status).toBe(400)
    expect(lines).toMatchObject([{ event: 'refused', status: 400, reason: 'cut_short' }])
  })

  it.each(['TRACE', 'M-SEARCH'])(
    'with the method %s, which Fetch does not know, is answered like others',
    async (method) => {
      const { broker } = await newWorld()
      const server = await serveBroker(broker, '127.0.0.1', 0, systemClock)
      onTestFinished(() => server.close())
      const bytes = `${method} /api/auth/refresh HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`
      expect((await sendRaw(Number(new URL(server.url).port), bytes)).status).toBe(405)
    },
  )

  it('leaves no token and no key in the log', async () => {
    const { backend, sessionId, begin, refresh, logout, first, lines, options } = await newWorld()
    const token = await backend.sessionToken(sessionId)
    const refreshToken = await begin()
    await first(sessionId, token)
    await first(sessionId, `${token}x`)
    await refresh(refreshToken)
    await refresh(`${refreshToken}x`)
    await logout(refreshToken)
    const said = JSON.stringify(lines)
    expect(lines.length).toBeGreaterThan(5)
    const secrets = [
      token,
      refreshToken,
      options.secretKey,
      ...options.keys.map((key) => Buffer.from(key).toString('base64url')),
    ]
    for (const secret of secrets) expect(said).not.toContain(secret)
  })
})

describe('cadzero-auth broker', () => {
  async function start(over: Record<string, string> = {}) {
    const sandbox = await newSandbox()
    const key = newKey().toString('base64url')
    const env = {
      PATH: process.env.PATH,
      CLERK_SECRET_KEY: sandbox.backend.secretKey,
      CLERK_API_URL: sandbox.backend.url,
      CADZERO_BROKER_KEY: key,
      CADZERO_BROKER_INSTANCES: sandbox.issuer,
      CADZERO_BROKER_PORT: '0',
      ...over,
    }
    const child = spawn(process.execPath, [PROGRAM, 'broker'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    let said = ''
    child.stdout.on('data', (chunk) => {
      said += chunk
    })
    await once(child.stdout, 'data')
    const url = String(/listening on (\S+)/.exec(said)?.[1])
    return { sandbox, child, url, said: () => said, key }
  }
  const post = (url: string, body: object, token?: string) =>
    fetch(`${url}/api/auth/refresh`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
      body: JSON.stringify(body),
    })

  it('serves by itself, says where, and ends when told, with what runs finished', async () => {
    const { sandbox, child, url, said, key } = await start()
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok')
    const sessionId = sandbox.backend.createSession()
    const token = await sandbox.backend.sessionToken(sessionId)
    const first = await post(url, { session_id: sessionId }, token)
    expect(first.status).toBe(200)
    const { refresh_token } = (await first.json()) as { refresh_token: string }

    let release: () => void = () => undefined
    const until = new Promise<void>((resolve) => {
      release = resolve
    })
    const arrived = sandbox.arrived(tokensPath(sessionId))
    sandbox.script(tokensPath(sessionId), { kind: 'hold', until })
    const running = post(url, { refresh_token })
    await arrived
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await expect.poll(() => canConnect(url)).toBe(false)
    release()
    expect((await running).status).toBe(200)
    expect(await ended).toEqual([0, null])
    expect(said()).toContain('"event":"refreshed"')
    for (const secret of [token, refresh_token, key, sandbox.backend.secretKey]) expect(said()).not.toContain(secret)
  })

  it('mounts in another server by what the package exports', async () => {
    const { sandbox, backend, sessionId } = await newWorld()
    const exported = createRequire(import.meta.url)(
      'cadzero-auth/broker',
    ) as typeof import('../../src/broker/broker.ts')
    const handle = exported.createBroker({
      secretKey: backend.secretKey,
      keys: [newKey()],
      issuers: [sandbox.issuer],
      apiUrl: backend.url,
    })
    const response = await handle(
      new Request('https://api.example.com/api/auth/refresh', {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          Authorization: `Bearer ${await backend.sessionToken(sessionId)}`,
        },
        body: JSON.stringify({ session_id: sessionId }),
      }),
    )
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ session_id: sessionId, token: expect.any(String) })
  })

  it('bears what is no request, and one that never ends', async () => {
    const { url } = await start()
    expect((await fetch(`${url}/`)).status).toBe(404)
    const big = await fetch(`${url}/api/auth/refresh`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ a: 'x'.repeat(1_000_000) }),
    })
    expect(big.status).toBe(413)
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.write('CONNECT /api/auth/refresh HTTP/1.1\r\nHost: x\r\n\r\n')
    socket.on('error', () => undefined)
    await once(socket, 'close')
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })

  it.each([
    ['CLERK_SECRET_KEY', ''],
    ['CLERK_SECRET_KEY', 'pk_test_canary'],
    ['CADZERO_BROKER_KEY', 'too-short-canary'],
    ['CADZERO_BROKER_KEY', ''],
    ['CADZERO_BROKER_INSTANCES', ''],
    ['CADZERO_BROKER_INSTANCES', 'http://clerk.example.com/canary'],
    ['CADZERO_BROKER_PORT', 'canary'],
    ['CADZERO_BROKER_TOKEN_SECONDS', '29'],
    ['CADZERO_BROKER_TEMPLATE', '../canary'],
    ['CLERK_API_URL', 'ftp://canary'],
    ['CLERK_JWT_KEY', 'canary'],
  ])('names %s where it is %j, and what it should be, but not what it was', async (name, value) => {
    const env = {
      CLERK_SECRET_KEY: 'sk_test_canary',
      CADZERO_BROKER_KEY: newKey().toString('base64url'),
      CADZERO_BROKER_INSTANCES: 'https://clerk.example.com',
      CADZERO_BROKER_PORT: '0',
      [name]: value,
    }
    const { code, stderr } = await runProgram(['broker'], { home: await temporaryFolder(), env })
    expect(code).toBe(2)
    expect(stderr).toMatch(new RegExp(`^error: ${name} is missing or wrong\\nhint: it should be .+\\n$`))
    expect(stderr).not.toContain('canary')
  })

  it('makes a key', async () => {
    const { stdout } = await runProgram(['broker', '--generate-key'], { home: await temporaryFolder() })
    expect(stdout).toMatch(/^[\w-]{43}\n$/)
  })
})

const canConnect = (url: string) =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
