// The testable MUSTs of the standards, in their order: each is tried here, or names the test that does so.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { importJWK, type JWK, type JWTPayload, SignJWT } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { checkMetadata } from '../../src/clerk/metadata.ts'
import { randomText, systemRandom } from '../../src/host/random.ts'
import type { RpcClient } from '../../src/rpc/client.ts'
import type { RpcError } from '../../src/rpc/contract.ts'
import type { Fault, Sandbox } from '../sandbox/index.ts'
import { newSigningKey, type SigningKey, sharedKey } from '../sandbox/keys.ts'
import { environment, PROGRAM, temporaryFolder } from '../support/program.ts'
import { bytesOf, startServer, upgradeRequest } from '../support/rpc.ts'
import { newWorld, until } from '../support/world.ts'

const TESTS = fileURLToPath(new URL('..', import.meta.url))
const SRC = fileURLToPath(new URL('../../src', import.meta.url))
const TOKEN = '/oauth/token'
const REVOKE = '/oauth/token/revoke'

interface Row {
  readonly id: string
  readonly means: string
  /** Names of tests elsewhere. */
  readonly by?: readonly string[]
  readonly run?: () => Promise<void>
}

const json = (status: number, body: unknown): Fault => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
const failure = (promise: Promise<unknown>) => promise.catch((error: unknown) => error)

async function start(client: RpcClient, profile?: string) {
  const params = profile === undefined ? {} : { profile }
  const { authorizationUrl } = await client.call('login', { ...params, openBrowser: false, wait: false })
  const url = String(authorizationUrl)
  return { url, redirectUri: String(new URL(url).searchParams.get('redirect_uri')) }
}

const isOpen = (redirectUri: string) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(Number(new URL(redirectUri).port), '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

function sources(): string {
  const names = readdirSync(SRC, { recursive: true }).map(String)
  return names
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(SRC, name), 'utf8'))
    .join('\n')
}

// --- rows that take more than a few lines ---

async function portLivesWithTheSignIn(): Promise<void> {
  const { client, sandbox, daemon } = await newWorld()
  const ends: Record<string, (url: string) => Promise<unknown>> = {
    success: (url) => sandbox.signIn(url),
    denial: (url) => sandbox.signIn(url, { deny: true }),
    cancel: () => client.call('cancelLogin'),
    logout: () => client.call('logout'),
    shutdown: () => daemon.stop(),
  }
  for (const [name, end] of Object.entries(ends)) {
    const { url, redirectUri } = await start(client)
    expect(await isOpen(redirectUri), name).toBe(true)
    await end(url)
    await expect.poll(() => isOpen(redirectUri), { timeout: 3000, message: name }).toBe(false)
  }
}

async function verifierIsRandom(): Promise<void> {
  const samples = Array.from({ length: 10_000 }, () => randomText(systemRandom, 32))
  expect(new Set(samples).size).toBe(samples.length)
  const counts = new Map<string, number>()
  for (const sample of samples) {
    expect(sample).toMatch(/^[\w-]{43}$/)
    // The last of 43 characters holds 4 bits only.
    for (const char of sample.slice(0, 42)) counts.set(char, (counts.get(char) ?? 0) + 1)
  }
  expect(counts.size).toBe(64)
  const expected = (samples.length * 42) / 64
  const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  expect(chiSquare).toBeLessThan(140) // 63 degrees of freedom: beyond this once in ten million runs
}

async function noTokenInAnyUrl(): Promise<void> {
  const { client, sandbox, signIn } = await newWorld()
  await signIn()
  await client.call('refresh')
  await client.call('logout')
  for (const { path, query } of sandbox.requests) {
    const names = Object.keys(query).filter((name) => /token|code$|verifier|secret/.test(name))
    expect(names, path).toEqual([])
  }
}

async function lostAnswers(): Promise<void> {
  for (const refreshReuse of ['forgiving', 'strict'] as const) {
    const { client, sandbox, signIn } = await newWorld({ refreshReuse })
    await signIn()
    sandbox.script(TOKEN, { kind: 'dropAfter' })
    const lost = (await failure(client.call('refresh'))) as RpcError
    expect(lost).toMatchObject({ code: 1003, data: { reason: 'network' } })
    await until(Date.now() / 1000 + Number(lost.data?.retryAfterSeconds))
    const second = await failure(client.call('refresh'))
    if (refreshReuse === 'forgiving') expect(second).toMatchObject({ headers: {} })
    else expect(second).toMatchObject({ code: 1001, data: { reason: 'session_revoked' } })
    expect(sandbox.count(TOKEN, 'refresh_token')).toBe(2)
  }
}

async function issuerIsIdentical(): Promise<void> {
  const metadata = (issuer: string) => ({
    issuer,
    authorization_endpoint: 'https://clerk.example.com/oauth/authorize',
    token_endpoint: 'https://clerk.example.com/oauth/token',
    jwks_uri: 'https://clerk.example.com/.well-known/jwks.json',
    code_challenge_methods_supported: ['S256'],
  })
  expect(() => checkMetadata(metadata('https://clerk.example.com'), 'https://clerk.example.com')).not.toThrow()
  for (const other of ['https://clerk.example.com/', 'https://CLERK.example.com', 'https://clerk.example.com:443']) {
    expect(() => checkMetadata(metadata(other), 'https://clerk.example.com'), other).toThrow()
  }
}

async function tlsIsChecked(): Promise<void> {
  expect(sources()).not.toMatch(/rejectUnauthorized|checkServerIdentity|minVersion|NODE_TLS_REJECT_UNAUTHORIZED\s*=/)
  const folder = await temporaryFolder()
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const make = (name: string) =>
    execFileSync(
      'openssl',
      `req -x509 -newkey rsa:2048 -nodes -days 1 -keyout ${key} -out ${cert} -subj /CN=${name} -addext subjectAltName=DNS:${name}`.split(
        ' ',
      ),
      { stdio: 'ignore' },
    )
  for (const [name, maxVersion] of [
    ['localhost', 'TLSv1.3'],
    ['other.example', 'TLSv1.3'],
    ['localhost', 'TLSv1.1'],
  ] as const) {
    make(name)
    let asked = 0
    const options = { key: readFileSync(key), cert: readFileSync(cert), minVersion: 'TLSv1' as const, maxVersion }
    const server = createTlsServer(options, () => asked++)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const issuer = `https://localhost:${(server.address() as { port: number }).port}`
    const { client } = await newWorld({ env: { CADZERO_AUTH_ISSUER: issuer, NODE_TLS_REJECT_UNAUTHORIZED: '0' } })
    await expect(client.call('login')).rejects.toMatchObject({ code: 1003, data: { reason: 'network' } })
    expect(asked).toBe(0)
  }
}

type Claims = JWTPayload & Record<string, unknown>

interface IdToken {
  /** What is changed; `undefined` takes a claim away. */
  readonly claims?: (claims: Claims) => Claims
  readonly header?: Record<string, unknown>
  readonly key?: SigningKey
  /** The token itself, changed. */
  readonly raw?: (token: string) => string
  readonly accepted?: true
}

const now = () => Math.floor(Date.now() / 1000)
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** The modules of the OpenID Foundation's conformance suite for a relying party, as far as they are about the ID token. */
const ID_TOKENS = 'an ID token is believed where every module of the conformance suite says so, and else not'

const idTokens: Readonly<Record<string, () => Promise<IdToken>>> = {
  'invalid-iss': async () => ({ claims: (c) => ({ ...c, iss: 'https://evil.example' }) }),
  'missing-iss': async () => ({ claims: ({ iss: _, ...c }) => c }),
  'invalid-aud': async () => ({ claims: (c) => ({ ...c, aud: 'other' }) }),
  'missing-aud': async () => ({ claims: ({ aud: _, ...c }) => c }),
  'invalid-secondary-aud': async () => ({ claims: (c) => ({ ...c, aud: [String(c.aud), 'other'], azp: 'other' }) }),
  'invalid-sig-rs256': async () => ({ key: await newSigningKey() }),
  'invalid-sig-hs256': async () => ({
    raw: (t) => [encode({ alg: 'HS256' }), t.split('.')[1], 'A'.repeat(43)].join('.'),
  }),
  'invalid-sig-es256': async () => ({
    raw: (t) => [encode({ alg: 'ES256' }), t.split('.')[1], 'A'.repeat(86)].join('.'),
  }),
  'idtoken-sig-none': async () => ({ raw: (t) => `${encode({ alg: 'none' })}.${t.split('.')[1]}.` }),
  'invalid-null-alg': async () => ({ raw: (t) => [encode({ alg: null }), t.split('.')[1], t.split('.')[2]].join('.') }),
  'invalid-alternate-alg': async () => ({ header: { alg: 'RS512' } }),
  'invalid-nonce': async () => ({ claims: (c) => ({ ...c, nonce: 'other' }) }),
  'missing-nonce': async () => ({ claims: ({ nonce: _, ...c }) => c }),
  'invalid-expired-exp': async () => ({ claims: (c) => ({ ...c, exp: now() - 3600 }) }),
  'missing-exp': async () => ({ claims: ({ exp: _, ...c }) => c }),
  'missing-iat': async () => ({ claims: ({ iat: _, ...c }) => c }),
  'missing-sub': async () => ({ claims: ({ sub: _, ...c }) => c }),
  'nbf-in-the-future': async () => ({ claims: (c) => ({ ...c, nbf: now() + 3600 }) }),
  'kid-unknown': async () => ({ header: { kid: 'other' } }),
  'kid-absent-single-jwks': async () => ({ header: { kid: undefined }, accepted: true }),
  // OpenID Connect Core 3.1.3.7: with the code flow `at_hash` is optional.
  'missing-athash': async () => ({ claims: ({ at_hash: _, ...c }) => c, accepted: true }),
  'as it should be': async () => ({ accepted: true }),
}

async function idTokensAreChecked(): Promise<void> {
  const { client, sandbox } = await newWorld()
  for (const [name, make] of Object.entries(idTokens)) {
    const { claims = (c) => c, header = {}, key = await sharedKey, raw = (t) => t, accepted } = await make()
    const login = failure(client.call('login', { openBrowser: false }))
    const { url } = await start(client)
    const { callbackUrl } = await sandbox.signIn(url, { deliver: false })
    const protectedHeader = { alg: 'RS256', kid: String((await sharedKey).jwk.kid), ...header }
    const alg = String(protectedHeader.alg)
    const signed = await new SignJWT(claims(rightClaims(sandbox, url)))
      .setProtectedHeader(protectedHeader as { alg: string })
      .sign(await importJWK({ ...key.jwk, alg } as JWK, alg))
    sandbox.script(TOKEN, { kind: 'replace', body: (answer) => ({ ...answer, id_token: raw(signed) }) })
    await fetch(callbackUrl)
    const outcome = await login
    if (accepted) expect(outcome, name).toMatchObject({ state: 'signed_in' })
    else expect(outcome, name).toMatchObject({ code: 1002, data: { reason: 'invalid_response' } })
    await client.call('logout')
  }
}

/** The claims that the provider would give. */
function rightClaims(sandbox: Sandbox, url: string): Claims {
  const { searchParams } = new URL(url)
  const nonce = String(searchParams.get('nonce'))
  return {
    iss: sandbox.issuer,
    aud: sandbox.clientId,
    sub: sandbox.user.id,
    iat: now(),
    exp: now() + 3600,
    nonce,
    at_hash: undefined,
  }
}

/** Sends raw bytes after a right handshake; gives the close code that comes, or what text. */
async function frame(...bytes: (string | Buffer)[]): Promise<{ closed: number | undefined; raw: string }> {
  const { server, endpoint } = await startServer()
  const socket: Socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => undefined)
  const chunks: Buffer[] = []
  socket.on('data', (data: Buffer) => chunks.push(data))
  socket.write(bytesOf(upgradeRequest(endpoint)))
  await once(socket, 'data')
  const head = Buffer.concat(chunks)
  chunks.splice(0, chunks.length, head.subarray(head.indexOf('\r\n\r\n') + 4))
  socket.write(Buffer.concat(bytes.map((one) => (typeof one === 'string' ? Buffer.from(one, 'hex') : one))))
  await once(socket, 'close')
  const raw = Buffer.concat(chunks)
  return { closed: raw[0] === 0x88 && (raw[1] ?? 0) >= 2 ? raw.readUInt16BE(2) : undefined, raw: raw.toString('hex') }
}

const MASK = '00000000'
const masked = (opcode: number, size: number, payload = Buffer.alloc(size)) =>
  Buffer.concat([
    Buffer.from([opcode, size < 126 ? 0x80 | size : 0xfe]),
    size < 126 ? Buffer.alloc(0) : Buffer.from([size >> 8, size & 255]),
    Buffer.from(MASK, 'hex'),
    payload,
  ])

async function closeCodes(): Promise<void> {
  for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000]) {
    const payload = Buffer.from([code >> 8, code & 255])
    expect((await frame(masked(0x88, 2, payload))).closed, `close ${code}`).toBe(1002)
  }
  for (const [name, bytes] of Object.entries({
    'RSV1 without an extension': masked(0xc1, 1),
    RSV2: masked(0xa1, 1),
    RSV3: masked(0x91, 1),
    'opcode 3': masked(0x83, 1),
    'opcode 11': masked(0x8b, 1),
    'a continuation of nothing': masked(0x80, 1),
    'a message within a message': Buffer.concat([masked(0x01, 1), masked(0x81, 1)]),
    'a close frame of one byte': masked(0x88, 1),
  })) {
    expect((await frame(bytes)).closed, name).toBe(1002)
  }
}

const examples = (...names: string[]) => names.map((name) => `['${name}'`)

const rows: readonly Row[] = [
  {
    id: '8252-1',
    means: 'a public native client uses PKCE',
    by: [
      'is what RFC 8252, RFC 7636 and OpenID Connect ask for, and new each time',
      'sends the verifier and the very redirect URI with the code, and no secret',
    ],
  },
  {
    id: '8252-2',
    means: 'no embedded user-agent',
    by: ['passes the URL as the only argument, and none of the daemon’s settings'],
    run: async () => {
      const { dependencies } = JSON.parse(readFileSync(join(SRC, '..', 'package.json'), 'utf8')) as {
        dependencies: object
      }
      expect(
        Object.keys(dependencies).filter((name) => /webview|electron|puppeteer|playwright|nw$/.test(name)),
      ).toEqual([])
    },
  },
  {
    id: '8252-3',
    means: 'a loopback redirect: http, IP literal, any port, the same in both requests',
    by: ['sends the verifier and the very redirect URI with the code, and no secret'],
  },
  {
    id: '8252-4',
    means: 'no IP version is taken for granted: without a loopback interface it starts, or says what is wrong',
    run: async () => {
      const isPossible = process.platform === 'linux' && process.getuid?.() === 0
      if (!isPossible) return
      const options = {
        env: environment({ home: await temporaryFolder() }),
        stdio: ['ignore', 'pipe', 'pipe'] as const,
      }
      const child = spawn('unshare', ['-n', process.execPath, PROGRAM, 'daemon'], {
        env: options.env,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      onTestFinished(() => void child.kill('SIGKILL'))
      let said = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk) => {
          said += chunk
        })
      }
      await Promise.race([once(child.stdout, 'data'), once(child, 'close')])
      expect(said).toMatch(/^(ready |error: )/)
    },
  },
  {
    id: '8252-5',
    means: 'the callback port is open while a sign-in runs, and on loopback alone',
    by: ['listens on %s while it waits, and no longer'],
    run: portLivesWithTheSignIn,
  },
  {
    id: '8252-6',
    means: 'no client secret',
    by: ['sends the verifier and the very redirect URI with the code, and no secret'],
    run: async () => expect(sources()).not.toMatch(/client_secret|ClientSecret(Post|Basic)/),
  },
  {
    id: '8252-7',
    means: 'no answer without a state that is awaited',
    by: ['with no, an empty, a wrong, a repeated or an old state is refused, and no code is sent anywhere'],
  },
  {
    id: '8252-8',
    means: 'each sign-in has a redirect of its own, and what comes to another is refused',
    run: async () => {
      const { client, sandbox } = await newWorld()
      const { url, redirectUri } = await start(client)
      const { callbackUrl } = await sandbox.signIn(url, { deliver: false })
      await client.call('cancelLogin')
      const next = await start(client)
      expect(next.redirectUri).not.toBe(redirectUri)
      const wrong = new URL(next.redirectUri)
      wrong.search = new URL(callbackUrl).search
      expect((await fetch(wrong)).status).toBe(400)
      expect((await fetch(new URL('/other', next.redirectUri))).status).toBe(404)
      expect(sandbox.count(TOKEN)).toBe(0)
    },
  },
  {
    id: '8252-9',
    means: 'the redirect is compared exactly but for its port',
    by: ['is refused for a redirect URI that is not registered, on a page that says so'],
  },

  { id: '7636-1', means: 'a verifier of 43 characters and 256 bits', run: verifierIsRandom },
  { id: '7636-2', means: 'S256, never plain', by: ['knows no PKCE', 'knows only plain PKCE'] },
  {
    id: '7636-3',
    means: 'new each time, never logged',
    by: [
      'is what RFC 8252, RFC 7636 and OpenID Connect ask for, and new each time',
      'in a log, an output, a page, an argument, an environment or a file, after a whole life with OAuth',
    ],
  },

  {
    id: '9700-1',
    means: 'no open redirector',
    by: ['gets constant pages and constant addresses, whatever is put into it'],
  },
  {
    id: '9700-2',
    means: 'no CSRF',
    by: ['with no, an empty, a wrong, a repeated or an old state is refused, and no code is sent anywhere'],
  },
  { id: '9700-3', means: 'no mix-up of providers', by: ['that is not the one who was asked is seen by its iss'] },
  {
    id: '9700-4',
    means: 'PKCE bound to the transaction',
    by: ['whose code was stolen is worth nothing without the verifier'],
  },
  {
    id: '9700-5',
    means: 'no implicit grant, no password grant',
    run: async () => {
      const { client, sandbox, signIn } = await newWorld()
      await signIn()
      await client.call('refresh')
      const grants = new Set(sandbox.requests.map(({ grantType }) => grantType).filter((grant) => grant !== null))
      expect([...grants].sort()).toEqual(['authorization_code', 'refresh_token'])
      expect(sandbox.requests.find(({ path }) => path === '/oauth/authorize')?.query.response_type).toBe('code')
    },
  },
  {
    id: '9700-6',
    means: 'a rotated refresh token replaces the old one, which is never sent again',
    by: ['sends a refresh token once: each refresh uses the one that the last one brought'],
  },
  {
    id: '9700-7',
    means: 'the last page refers to nothing outside',
    by: ['has no script, form, handler or inline style, and refers to nothing outside itself'],
  },
  { id: '9700-8', means: 'no token in a URI', run: noTokenInAnyUrl },
  { id: '9700-9', means: 'a code of another flow is seen by its nonce', by: ['gives an ID token for another nonce'] },
  {
    id: '9700-10',
    means: 'metadata and TLS from end to end',
    run: async () => {
      const { client } = await newWorld({ env: { CADZERO_AUTH_ISSUER: 'http://clerk.example.com' } })
      await expect(client.call('login')).rejects.toMatchObject({ code: 1007 })
    },
  },
  {
    id: 'FAPI2',
    means: 'rotation whose answer is lost: a provider that forgives, and one that does not',
    run: lostAnswers,
  },

  {
    id: '8414-1',
    means: 'the issuer of the metadata is the one that was asked, to the letter',
    by: ['is another issuer than its metadata says'],
    run: issuerIsIdentical,
  },
  { id: '8414-2', means: 'no code_challenge_methods_supported is no PKCE', by: ['knows no PKCE'] },
  { id: '8414-3', means: 'TLS with its certificate checked', run: tlsIsChecked },
  ...Object.keys(idTokens).map((name): Row => ({ id: `OIDC ${name}`, means: 'an ID token', by: [ID_TOKENS] })),

  {
    id: 'OIDC iat-is-week-in-past',
    means: 'an old ID token whose exp is still to come is the provider’s choice',
    by: ['invalid-expired-exp'],
  },
  {
    id: 'OIDC scope-userinfo-claims',
    means: 'claims of userinfo',
    by: ['cannot give name and e-mail still signs in, with what the ID token says'],
  },
  { id: 'OIDC token-endpoint-response-without-expires_in', means: 'no expires_in', by: ['without expires_in'] },
  {
    id: 'OIDC no-scope-in-token-endpoint-response',
    means: 'no scope in the answer',
    run: async () => {
      const { client, sandbox, signIn } = await newWorld()
      sandbox.script(TOKEN, { kind: 'replace', body: ({ scope: _, ...answer }) => answer })
      await signIn()
      expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
    },
  },
  {
    id: 'OIDC ensure-authorization-response-state',
    means: 'state',
    by: ['with no, an empty, a wrong, a repeated or an old state is refused, and no code is sent anywhere'],
  },
  { id: 'OIDC authorization-response-iss', means: 'iss', by: ['that is not the one who was asked is seen by its iss'] },

  { id: '9207-1', means: 'another iss: no code is sent', by: ['that is not the one who was asked is seen by its iss'] },
  {
    id: '9207-2',
    means: 'a missing iss where it was promised',
    by: ['that is not the one who was asked is seen by its iss'],
  },
  {
    id: '9207-3',
    means: 'an error of another issuer is not believed',
    run: async () => {
      const { client } = await newWorld()
      const login = failure(client.call('login', { openBrowser: false }))
      const { url, redirectUri } = await start(client)
      const state = String(new URL(url).searchParams.get('state'))
      await fetch(
        `${redirectUri}?${new URLSearchParams({ error: 'access_denied', state, iss: 'https://evil.example' })}`,
      )
      expect(await login).toMatchObject({ code: 1002, data: { reason: 'invalid_response' } })
    },
  },
  {
    id: '9207-4',
    means: 'parameters do not repeat',
    run: async () => {
      const { client, sandbox } = await newWorld()
      const { url } = await start(client)
      const { callbackUrl } = await sandbox.signIn(url, { deliver: false })
      for (const name of ['code', 'iss', 'state']) {
        const value = String(new URL(callbackUrl).searchParams.get(name))
        for (const other of [value, 'x'])
          expect((await fetch(`${callbackUrl}&${name}=${other}`)).status, name).toBe(400)
      }
      expect(sandbox.count(TOKEN)).toBe(0)
      expect((await fetch(callbackUrl)).status).toBe(200)
    },
  },

  {
    id: '9449-1',
    means: 'DPoP is not spoken: who advertises it gets the requests of any other',
    run: async () => {
      const { client, sandbox, signIn } = await newWorld({ metadata: { dpop_signing_alg_values_supported: ['ES256'] } })
      await signIn()
      await client.call('refresh')
      expect(sandbox.count(TOKEN)).toBe(2)
    },
  },
  {
    id: '9449-2',
    means: 'a demand for a DPoP nonce is no loop and no sign-out',
    run: async () => {
      const { client, sandbox, signIn } = await newWorld()
      await signIn()
      const before = sandbox.count(TOKEN)
      sandbox.script(TOKEN, json(400, { error: 'use_dpop_nonce' }))
      await expect(client.call('refresh')).rejects.toMatchObject({ code: 1004 })
      expect(sandbox.count(TOKEN) - before).toBe(1)
      expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
    },
  },
  {
    id: '9449-3',
    means: 'a token of another type than Bearer is not handed out',
    run: async () => {
      const { client, sandbox, signIn } = await newWorld()
      await signIn()
      sandbox.script(TOKEN, { kind: 'replace', body: (answer) => ({ ...answer, token_type: 'DPoP' }) })
      await expect(client.call('refresh')).rejects.toMatchObject({ code: 1003, data: { reason: 'server' } })
      expect((await client.call('getAuthHeader')).headers.Authorization).toMatch(/^Bearer /)
    },
  },
  {
    id: '9449-4',
    means: 'params that a bound token would need are nobody’s yet',
    run: async () => {
      const { client } = await newWorld()
      const call = client.callAny('getAuthHeader', { method: 'GET', url: 'https://api.example.com' })
      await expect(call).rejects.toMatchObject({ code: -32602 })
    },
  },

  {
    id: '7009-1',
    means: 'a revocation is a form with token, hint and client',
    run: async () => {
      const { client, sandbox, signIn } = await newWorld()
      await signIn()
      await client.call('logout')
      const sent = sandbox.requests.find(({ path }) => path === REVOKE)
      expect(sent).toMatchObject({
        method: 'POST',
        form: { token_type_hint: 'refresh_token', client_id: sandbox.clientId },
      })
      expect(sent?.form.token).toBeTruthy()
    },
  },
  {
    id: '7009-2',
    means: '200 is done, 503 is not confirmed, and the session here is gone either way',
    run: async () => {
      const { client, sandbox, signIn } = await newWorld()
      for (const [fault, revoked] of [
        [{ kind: 'pass' } as const, true],
        [json(503, {}), false],
      ] as const) {
        await signIn()
        sandbox.script(REVOKE, fault)
        expect(await client.call('logout')).toMatchObject({ revoked })
        expect(await client.call('status')).toMatchObject({ state: 'signed_out' })
      }
    },
  },
  {
    id: '7009-3',
    means: 'a JWT lives until it expires, and the answer says until when',
    by: ['goes from absent to signed in, expired, refreshed, rejected and absent again'],
  },
  {
    id: '6749-1',
    means: 'a new refresh token replaces the old',
    by: ['sends a refresh token once: each refresh uses the one that the last one brought'],
  },
  {
    id: '6749-2',
    means: 'unknown fields are passed over',
    by: ['without expires_in'],
    run: async () => {
      const { client, sandbox, signIn } = await newWorld()
      await signIn()
      sandbox.script(TOKEN, { kind: 'replace', body: (answer) => ({ ...answer, unknown: { a: [1] }, __proto__x: 1 }) })
      await expect(client.call('refresh')).resolves.toMatchObject({ headers: {} })
    },
  },
  {
    id: '6749-3',
    means: 'invalid_grant asks a person; all other errors keep the session',
    by: [
      'ends here when the provider has ended it, and says so',
      "['invalid_client', 'invalid_scope', 'unauthorized_client']",
    ],
  },
  {
    id: '6750-1',
    means: 'a header of Bearer, a space and a b64token',
    by: ['gives a token with a line break'],
    run: async () => {
      const { client, sandbox, signIn } = await newWorld()
      await signIn()
      expect((await client.call('getAuthHeader')).headers.Authorization).toMatch(/^Bearer [\w.~+/-]+=*$/)
      for (const access_token of ['a b', 'a\0', 'ü', '', 'a"b', 'a,b']) {
        sandbox.script(TOKEN, { kind: 'replace', body: (answer) => ({ ...answer, access_token }) })
        await expect(client.call('refresh'), access_token).rejects.toMatchObject({ code: 1003 })
        sandbox.script(TOKEN, { kind: 'pass' })
        if (!(await failure(client.call('refresh')).then((outcome) => !(outcome instanceof Error)))) await signIn()
      }
    },
  },
  { id: '6750-2', means: 'no token in a URL or a cookie', run: noTokenInAnyUrl },

  {
    id: '6455-1',
    means: 'an unmasked frame: 1002',
    run: async () => expect((await frame('810161')).raw).toBe('880203ea'),
  },
  {
    id: '6455-2',
    means: 'a control frame of more than 125 bytes, or in pieces: 1002',
    run: async () => {
      expect((await frame(masked(0x89, 126))).closed).toBe(1002)
      expect((await frame(masked(0x09, 1))).closed).toBe(1002)
    },
  },
  {
    id: '6455-3',
    means: 'invalid UTF-8: 1007',
    run: async () => expect((await frame(masked(0x81, 2, Buffer.from('c328', 'hex')))).raw).toBe('880203ef'),
  },
  {
    id: '6455-4',
    means: 'a frame of 2^62 bytes: 1009 at once',
    run: async () => expect((await frame(`81ff4000000000000000${MASK}`)).raw).toBe('880203f1'),
  },
  { id: '6455-5', means: 'WebSocket version 13 alone', by: ['WebSocket version 8'] },
  { id: '6455-6', means: 'reserved bits, opcodes, continuations and close codes', run: closeCodes },
  {
    id: 'OWASP origin',
    means: 'no Origin is allowed',
    by: ['opens no socket, whatever its Origin: nobody who has one gets in'],
  },
  {
    id: 'OWASP authentication',
    means: 'in the handshake',
    by: ['is not let in for having no Origin: without a proof nobody is'],
  },
  {
    id: 'OWASP message size',
    means: '64 KiB',
    by: ['in one frame or in 64 fragments, and closes with 1009 on a byte more'],
  },
  {
    id: 'OWASP compression',
    means: 'off',
    run: async () => {
      const { endpoint, server } = await startServer()
      const request = upgradeRequest(endpoint)
      request.headers.push(['Sec-WebSocket-Extensions', 'permessage-deflate'])
      const socket = connect(server.port, '127.0.0.1')
      socket.write(bytesOf(request))
      const [answer] = (await once(socket, 'data')) as [Buffer]
      socket.destroy()
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 101 /)
      expect(answer.toString()).not.toMatch(/extensions/i)
    },
  },
  {
    id: 'OWASP authorization of messages',
    means: 'who is in is the user, and may call every method',
    by: ['or a stranger gets in by none of fifty kinds of requests, and the right one always'],
  },
  {
    id: 'OWASP end of session',
    means: 'every connection is told',
    by: ['tells every connection when it changes, and never a token'],
  },
  {
    id: 'OWASP limits',
    means: 'connections and calls',
    by: [
      'closes the 257th connection with 1013, runs none of its calls, and serves the others',
      'takes a batch of 32 calls, and refuses one more as a whole',
    ],
  },
  {
    id: 'OWASP heartbeat',
    means: 'who answers no ping is dropped',
    by: ['drops a peer that was silent for two pings'],
  },
  {
    id: 'OWASP backpressure',
    means: 'a slow reader is cut off',
    by: ['cuts off a client that never reads, before much is buffered for it'],
  },
  {
    id: 'OWASP logs',
    means: 'without tokens',
    by: ['in a log, an output, a page, an argument, an environment or a file, after a whole life with OAuth'],
  },
  { id: 'OWASP query strings', means: 'no token in them', run: noTokenInAnyUrl },
  {
    id: 'OWASP parsing',
    means: 'JSON.parse alone',
    run: async () => expect(sources()).not.toMatch(/\beval\(|new Function\(/),
  },

  {
    id: 'J1-J2',
    means: 'positional parameters',
    by: examples('positional parameters').concat("'positional parameters, turned'"),
  },
  { id: 'J3-J4', means: 'named parameters', by: ["'named parameters'", "'named parameters, turned'"] },
  { id: 'J5', means: 'notifications', by: examples('a notification', 'a notification without params') },
  { id: 'J6', means: 'an unknown method', by: examples('a method that is not there') },
  { id: 'J7', means: 'invalid JSON', by: examples('invalid JSON') },
  { id: 'J8', means: 'an invalid request', by: examples('an invalid request') },
  { id: 'J9', means: 'a batch of invalid JSON', by: ["'a batch of invalid JSON'"] },
  { id: 'J10', means: 'an empty batch', by: examples('an empty batch') },
  { id: 'J11-J12', means: 'invalid batches', by: examples('an invalid batch', 'a batch of three that are invalid') },
  { id: 'J13', means: 'a mixed batch', by: ["'a mixed batch'"] },
  { id: 'J14', means: 'a batch of notifications', by: ["'a batch of notifications'"] },
  {
    id: 'J15',
    means: 'ids, params, versions, __proto__',
    by: ['refuses the id %s', 'refuses the message %s', 'is not misled by __proto__ and constructor'],
  },
]

/** The standards in their order. A row that is in neither list, or in one alone, fails. */
const STANDARDS = [
  ...Array.from({ length: 9 }, (_, i) => `8252-${i + 1}`),
  ...Array.from({ length: 3 }, (_, i) => `7636-${i + 1}`),
  ...Array.from({ length: 10 }, (_, i) => `9700-${i + 1}`),
  'FAPI2',
  ...['8414-1', '8414-2', '8414-3'],
  ...Object.keys(idTokens).map((name) => `OIDC ${name}`),
  ...['iat-is-week-in-past', 'scope-userinfo-claims', 'token-endpoint-response-without-expires_in'].map(
    (x) => `OIDC ${x}`,
  ),
  ...['no-scope-in-token-endpoint-response', 'ensure-authorization-response-state'].map((name) => `OIDC ${name}`),
  'OIDC authorization-response-iss',
  ...Array.from({ length: 4 }, (_, i) => `9207-${i + 1}`),
  ...Array.from({ length: 4 }, (_, i) => `9449-${i + 1}`),
  ...Array.from({ length: 3 }, (_, i) => `7009-${i + 1}`),
  ...Array.from({ length: 3 }, (_, i) => `6749-${i + 1}`),
  ...['6750-1', '6750-2'],
  ...Array.from({ length: 6 }, (_, i) => `6455-${i + 1}`),
  ...['origin', 'authentication', 'message size', 'compression', 'authorization of messages', 'end of session'].map(
    (x) => `OWASP ${x}`,
  ),
  ...['limits', 'heartbeat', 'backpressure', 'logs', 'query strings', 'parsing'].map((name) => `OWASP ${name}`),
  ...['J1-J2', 'J3-J4', 'J5', 'J6', 'J7', 'J8', 'J9', 'J10', 'J11-J12', 'J13', 'J14', 'J15'],
]

const hasOpenSsl = existsSync('/usr/bin/openssl')
const all = readdirSync(TESTS, { recursive: true })
  .map(String)
  .filter((name) => name.endsWith('.test.ts'))
const texts = all.map((name) => readFileSync(join(TESTS, name), 'utf8')).join('\n')
const elsewhere = texts.replace(readFileSync(fileURLToPath(import.meta.url), 'utf8').split('const rows')[1] ?? '', '')

describe('the standards', () => {
  it('are all in the table, in their order, and each row is tried somewhere', () => {
    expect(rows.map(({ id }) => id)).toEqual(STANDARDS)
    for (const { id, by = [], run } of rows) {
      expect(by.length > 0 || run !== undefined, `nobody tries ${id}`).toBe(true)
      for (const name of by) expect(elsewhere.includes(name), `${id}: there is no test «${name}»`).toBe(true)
    }
  })

  it(ID_TOKENS, { timeout: 60_000 }, idTokensAreChecked)

  for (const { id, means, run } of rows) {
    if (!run) continue
    const needs = id === '8414-3' && !hasOpenSsl ? ' (needs openssl)' : ''
    it.skipIf(needs !== '')(`${id}: ${means}${needs}`, run)
  }
})
