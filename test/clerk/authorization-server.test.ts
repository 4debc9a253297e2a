// What the provider can do to us: no fault of its own ever signs anybody out, and hostile answers lead nowhere.
import { describe, expect, it } from 'vitest'
import type { Fault, SandboxOptions } from '../sandbox/index.ts'
import { newWorld, until } from '../support/world.ts'

const TOKEN = '/oauth/token'
const json = (status: number, body: unknown, headers = {}): Fault => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
})

// What a provider can do wrong in all its forms is in faults/provider-faults.test.ts.
const transient: [string, Fault, string][] = [
  ['says 503 invalid_grant', json(503, { error: 'invalid_grant' }), 'server'],
  ['says 429', json(429, { error: 'too_many_requests' }, { 'retry-after': '7' }), 'rate_limited'],
  ['gives a token with a line break', json(200, { access_token: 'a\r\nX: y', token_type: 'bearer' }), 'server'],
  ['redirects', { kind: 'answer', status: 307, headers: { location: 'http://127.0.0.1:9/steal' } }, 'server'],
  [
    'answers two megabytes',
    { kind: 'answer', status: 200, headers: { 'content-type': 'application/json' }, body: `"${'x'.repeat(2 ** 21)}"` },
    'network',
  ],
]

describe('a refresh at a provider that', () => {
  it.each(transient)('%s keeps the session', async (_name, fault, reason) => {
    const { sandbox, client, signIn } = await newWorld()
    await signIn()
    const before = await client.call('getAuthHeader')
    sandbox.script(TOKEN, fault)
    await expect(client.call('refresh')).rejects.toMatchObject({
      code: 1003,
      data: { reason, retryAfterSeconds: expect.any(Number) },
    })
    expect(await client.call('getAuthHeader')).toEqual(before)
    expect(await client.call('status')).toMatchObject({ state: 'signed_in', refresh: { lastError: reason } })
    expect(sandbox.count(TOKEN, 'refresh_token')).toBe(1)
  })

  it('says when to come back is not asked before', async () => {
    const { sandbox, client, signIn } = await newWorld()
    await signIn()
    sandbox.script(TOKEN, json(429, {}, { 'retry-after': '120' }))
    for (let i = 0; i < 3; i++) {
      await expect(client.call('refresh')).rejects.toMatchObject({ code: 1003, data: { reason: 'rate_limited' } })
    }
    const answer = await client.call('refresh').catch((error: { data: { retryAfterSeconds: number } }) => error)
    expect(answer).toMatchObject({ data: { retryAfterSeconds: expect.any(Number) } })
    expect(sandbox.count(TOKEN, 'refresh_token')).toBe(1)
  })

  it.each(['invalid_client', 'invalid_scope', 'unauthorized_client'])(
    'says %s keeps the session, and names it',
    async (error) => {
      const { sandbox, client, signIn } = await newWorld()
      await signIn()
      sandbox.script(
        TOKEN,
        json(401, { error, error_description: 'canary' }, { 'www-authenticate': 'Basic realm="x"' }),
      )
      const failure = await client.call('refresh').catch((error: unknown) => error)
      expect(failure).toMatchObject({ code: 1004, data: { reason: error } })
      expect(JSON.stringify(failure)).not.toContain('canary')
      expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
    },
  )

  it.each([
    ['without expires_in', { expires_in: undefined }],
    ['with a lifetime that is a text', { expires_in: '3600' }],
    ['with a lifetime that is no number', { expires_in: 'soon' }],
    ['with a negative lifetime', { expires_in: -1 }],
    ['with a lifetime beyond all years', { expires_in: 1e12 }],
    ['with an ID token that is broken', { id_token: 'x.y.z' }],
    ['without a new refresh token', { refresh_token: undefined }],
  ])('answers %s is good enough', async (_name, change) => {
    const { sandbox, client, signIn } = await newWorld()
    await signIn()
    sandbox.script(TOKEN, { kind: 'replace', body: (answer) => ({ ...answer, ...change }) })
    const { headers, expiresAt } = await client.call('refresh')
    expect(headers.Authorization).toMatch(/^Bearer [\w.~+/-]+=*$/)
    expect(Number.isSafeInteger(expiresAt)).toBe(true)
    expect(await client.call('status')).toMatchObject({ state: 'signed_in', store: { persisted: true } })
  })

  it('hangs lets a caller have the token that is still good, and answers others meanwhile', async () => {
    const { sandbox, client, signIn } = await newWorld({ accessTokenTtl: 6 })
    await signIn()
    const { expiresAt, headers } = await client.call('getAuthHeader')
    sandbox.script(TOKEN, { kind: 'hang' })
    await until(expiresAt - 1)
    const arrived = sandbox.arrived(TOKEN)
    expect((await client.call('getAuthHeader', { minValiditySeconds: 0 })).headers).toEqual(headers)
    await arrived
    expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
  })
})

describe('a sign-in at a provider that', () => {
  it('cannot be reached says when to try again', async () => {
    const { sandbox, client } = await newWorld()
    const METADATA = '/.well-known/openid-configuration'
    sandbox.script(METADATA, { kind: 'drop' }, { kind: 'drop' }, { kind: 'drop' })
    await expect(client.call('login', { openBrowser: false })).rejects.toMatchObject({
      code: 1003,
      data: { reason: 'network', retryAfterSeconds: expect.any(Number) },
    })
  })

  it.each<[string, SandboxOptions, object]>([
    [
      'is another issuer than its metadata says',
      { metadata: { issuer: 'https://evil.example' } },
      { code: 1004, data: { reason: 'issuer_mismatch' } },
    ],
    [
      'knows no PKCE',
      { metadata: { code_challenge_methods_supported: undefined } },
      { code: 1004, data: { reason: 'pkce_unsupported' } },
    ],
    [
      'knows only plain PKCE',
      { metadata: { code_challenge_methods_supported: ['plain'] } },
      { code: 1004, data: { reason: 'pkce_unsupported' } },
    ],
    ...[
      'file:///etc/passwd',
      'javascript:alert(1)',
      'https://evil.example/authorize',
      'http://evil.example/authorize',
      '--new-window',
      'http://user:secret@127.0.0.1/',
      `https://x/${'y'.repeat(1_000_000 / 2)}`,
    ].map((endpoint): [string, SandboxOptions, object] => [
      `would send the browser to ${endpoint.slice(0, 40)}`,
      { metadata: { authorization_endpoint: endpoint } },
      { code: 1004, data: { reason: 'unsafe_metadata' } },
    ]),
    [
      'would have tokens sent elsewhere',
      { metadata: { token_endpoint: 'https://evil.example/token' } },
      { code: 1004, data: { reason: 'unsafe_metadata' } },
    ],
  ])('%s opens nothing', async (_name, options, failure) => {
    const { client } = await newWorld(options)
    await expect(client.call('login', { openBrowser: true })).rejects.toMatchObject(failure)
    expect(await client.call('status')).toMatchObject({ state: 'signed_out', authorizationUrl: null })
  })

  it('is down says so, and works as soon as it is back', async () => {
    const { sandbox, client, signIn } = await newWorld()
    sandbox.script('/.well-known/openid-configuration', { kind: 'drop' }, json(503, {}))
    await expect(client.call('login')).rejects.toMatchObject({ code: 1003, data: { reason: 'network' } })
    await expect(client.call('login')).rejects.toMatchObject({ code: 1003, data: { reason: 'server' } })
    expect(await signIn()).toMatchObject({ state: 'signed_in' })
  })

  it('gives no refresh token fails loudly', async () => {
    const { client, sandbox } = await newWorld({ refreshTokens: false })
    const login = client.call('login', { openBrowser: false })
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const [failure, visit] = await Promise.all([
      login.catch((error: unknown) => error),
      sandbox.signIn(String(authorizationUrl)),
    ])
    expect(failure).toMatchObject({ code: 1004, data: { reason: 'no_refresh_token' } })
    expect(visit.body).toContain('could not')
    expect(await client.call('status')).toMatchObject({ state: 'signed_out' })
  })

  it('says no is a denial', async () => {
    const { client, sandbox } = await newWorld()
    const login = client.call('login', { openBrowser: false }).catch((error: unknown) => error)
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const visit = await sandbox.signIn(String(authorizationUrl), { deny: true })
    expect(await login).toMatchObject({ code: 1002, data: { reason: 'access_denied' } })
    expect(visit.finalUrl).toMatch(/\/denied$/)
  })

  it.each<[string, (answer: Record<string, unknown>) => unknown]>([
    ['leaves out the ID token', ({ id_token: _, ...rest }) => rest],
    [
      'changes the ID token’s signature',
      (answer) => ({ ...answer, id_token: `${String(answer.id_token).slice(0, -8)}AAAAAAAA` }),
    ],
    [
      'gives an ID token for another nonce',
      (answer) => {
        const [header, payload = '', signature] = String(answer.id_token).split('.')
        const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), nonce: 'other' }
        return {
          ...answer,
          id_token: [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.'),
        }
      },
    ],
    [
      'gives an ID token without a signature',
      (answer) => {
        const [, payload] = String(answer.id_token).split('.')
        return { ...answer, id_token: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.` }
      },
    ],
  ])('%s is not believed', async (_name, body) => {
    const { client, sandbox } = await newWorld()
    const login = client.call('login', { openBrowser: false }).catch((error: unknown) => error)
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    sandbox.script(TOKEN, { kind: 'replace', body })
    await sandbox.signIn(String(authorizationUrl))
    expect(await login).toMatchObject({ code: 1002, data: { reason: 'invalid_response' } })
    expect(await client.call('status')).toMatchObject({ state: 'signed_out' })
  })

  it('changes the issuer of its answer on the way gets no code', async () => {
    const { client, sandbox } = await newWorld()
    const login = client.call('login', { openBrowser: false }).catch((error: unknown) => error)
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const { callbackUrl } = await sandbox.signIn(String(authorizationUrl), { deliver: false })
    const callback = new URL(callbackUrl)
    callback.searchParams.set('iss', 'https://evil.example')
    await fetch(callback)
    expect(await login).toMatchObject({ code: 1002, data: { reason: 'invalid_response' } })
    expect(sandbox.count(TOKEN)).toBe(0)
  })

  it('cannot give name and e-mail still signs in, with what the ID token says', async () => {
    const { sandbox, signIn } = await newWorld()
    sandbox.script('/oauth/userinfo', json(500, {}))
    expect(await signIn()).toMatchObject({ state: 'signed_in', user: sandbox.user })
  })
})

describe('the authorization request', () => {
  it('is what RFC 8252, RFC 7636 and OpenID Connect ask for, and new each time', async () => {
    const { client, sandbox } = await newWorld()
    const urls: URL[] = []
    for (let i = 0; i < 2; i++) {
      const { authorizationUrl, state } = await client.call('login', { openBrowser: false, wait: false })
      expect(state).toBe('signing_in')
      urls.push(new URL(String(authorizationUrl)))
      expect(await client.call('cancelLogin')).toMatchObject({ state: 'signed_out', authorizationUrl: null })
    }
    const [first, second] = urls.map(({ searchParams }) => Object.fromEntries(searchParams))
    expect(first).toMatchObject({
      response_type: 'code',
      client_id: sandbox.clientId,
      scope: 'openid profile email offline_access',
      redirect_uri: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/callback$/),
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
    })
    for (const name of ['state', 'nonce', 'code_challenge']) expect(first?.[name]).not.toBe(second?.[name])
  })

  it('sends the verifier and the very redirect URI with the code, and no secret', async () => {
    const { sandbox, signIn } = await newWorld()
    await signIn()
    const sent = sandbox.requests.find(({ grantType }) => grantType === 'authorization_code')
    const asked = sandbox.requests.find(({ path }) => path === '/oauth/authorize')
    expect(sent?.form).toMatchObject({
      client_id: sandbox.clientId,
      redirect_uri: asked?.query.redirect_uri,
      code_verifier: expect.stringMatching(/^[\w.~-]{43,128}$/),
    })
    expect(sent?.form).not.toHaveProperty('client_secret')
  })

  it('goes through the sign-in page where one is set', async () => {
    const { client } = await newWorld({ env: { CADZERO_AUTH_SIGN_IN_URL: 'https://www.example.com/sign-in' } })
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const url = new URL(String(authorizationUrl))
    expect(url.origin + url.pathname).toBe('https://www.example.com/sign-in')
    expect(url.searchParams.get('redirect_url')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/oauth\/authorize\?/)
  })
})
