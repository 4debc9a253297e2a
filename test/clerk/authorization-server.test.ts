// Refresh and sign-in at an OAuth provider through the real daemon: no failure ends a session, and no hostile response is used.
import { describe, expect, it } from 'vitest'
import type { Fault, SandboxOptions } from '../sandbox/index.ts'
import { newClerkAuthenticator } from '../support/clerk-authenticator.ts'
import { newSandbox, newWorld, settingsOf } from '../support/world.ts'

const TOKEN = '/oauth/token'
const json = (status: number, body: unknown, headers = {}): Fault => ({
  kind: 'respond',
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
})

// The complete table of failures is in faults/provider-faults.test.ts.
const transient: [string, Fault, string][] = [
  ['answers 503 with invalid_grant', json(503, { error: 'invalid_grant' }), 'server'],
  ['answers 429', json(429, { error: 'too_many_requests' }, { 'retry-after': '7' }), 'rate_limited'],
  ['sends a token with a line break', json(200, { access_token: 'a\r\nX: y', token_type: 'bearer' }), 'server'],
  ['redirects', { kind: 'respond', status: 307, headers: { location: 'http://127.0.0.1:9/steal' } }, 'server'],
  [
    'answers two megabytes',
    { kind: 'respond', status: 200, headers: { 'content-type': 'application/json' }, body: `"${'x'.repeat(2 ** 21)}"` },
    'network',
  ],
]

describe('a refresh keeps the session if the provider', () => {
  it.each(transient)('%s', async (_name, fault, reason) => {
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

  it('sends Retry-After, and is not asked again before', async () => {
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
    'answers %s, which the client receives as the reason',
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
    ['[OIDC-token-endpoint-response-without-expires_in] answers without expires_in', { expires_in: undefined }],
    ['answers with a lifetime that is a string', { expires_in: '3600' }],
    ['answers with a lifetime that is not a number', { expires_in: 'soon' }],
    ['answers with a negative lifetime', { expires_in: -1 }],
    ['answers with a lifetime of 30,000 years', { expires_in: 1e12 }],
    ['answers with an invalid ID token', { id_token: 'x.y.z' }],
    ['answers without a new refresh token', { refresh_token: undefined }],
  ])('%s, and uses the response', async (_name, change) => {
    const { sandbox, client, signIn } = await newWorld()
    await signIn()
    sandbox.script(TOKEN, { kind: 'replace', body: (answer) => ({ ...answer, ...change }) })
    const { headers, expiresAt } = await client.call('refresh')
    expect(headers.Authorization).toMatch(/^Bearer [\w.~+/-]+=*$/)
    expect(Number.isSafeInteger(expiresAt)).toBe(true)
    expect(await client.call('status')).toMatchObject({ state: 'signed_in', store: { persisted: true } })
  })

  it('hangs, while clients get the token that is still valid', async () => {
    const sandbox = await newSandbox()
    const { authenticator, clock } = await newClerkAuthenticator(settingsOf(sandbox))
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    await sandbox.signIn(String(authenticator.status().authorizationUrl))
    const before = await authenticator.authHeader(0, false)
    sandbox.script(TOKEN, { kind: 'hang' })
    const arrived = sandbox.arrived(TOKEN)
    clock.advance(before.expiresAt - 1 - clock.now())
    expect(await authenticator.authHeader(0, false)).toEqual(before)
    await arrived
    expect(await authenticator.authHeader(0, false)).toEqual(before)
    expect(authenticator.status()).toMatchObject({ state: 'signed_in' })
  })
})

describe('a sign-in fails without harm if the provider', () => {
  it('is unreachable, and tells when to retry', async () => {
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
      'has the metadata of another issuer',
      { metadata: { issuer: 'https://evil.example' } },
      { code: 1004, data: { reason: 'issuer_mismatch' } },
    ],
    [
      '[7636-2 8414-2] does not support PKCE',
      { metadata: { code_challenge_methods_supported: undefined } },
      { code: 1004, data: { reason: 'pkce_unsupported' } },
    ],
    [
      '[7636-2] supports only plain PKCE',
      { metadata: { code_challenge_methods_supported: ['plain'] } },
      { code: 1004, data: { reason: 'pkce_unsupported' } },
    ],
    // Every kind of unsafe endpoint is in metadata.test.ts.
    [
      'has an authorization endpoint at another host',
      { metadata: { authorization_endpoint: 'https://evil.example/authorize' } },
      { code: 1004, data: { reason: 'unsafe_metadata' } },
    ],
    [
      'has a token endpoint at another host',
      { metadata: { token_endpoint: 'https://evil.example/token' } },
      { code: 1004, data: { reason: 'unsafe_metadata' } },
    ],
  ])('%s, and opens no browser', async (_name, options, failure) => {
    const { client } = await newWorld(options)
    await expect(client.call('login', { openBrowser: true })).rejects.toMatchObject(failure)
    expect(await client.call('status')).toMatchObject({ state: 'signed_out', authorizationUrl: null })
  })

  it('is down, and succeeds when it is back', async () => {
    const { sandbox, client, signIn } = await newWorld()
    sandbox.script('/.well-known/openid-configuration', { kind: 'drop' }, json(503, {}))
    await expect(client.call('login')).rejects.toMatchObject({ code: 1003, data: { reason: 'network' } })
    await expect(client.call('login')).rejects.toMatchObject({ code: 1003, data: { reason: 'server' } })
    expect(await signIn()).toMatchObject({ state: 'signed_in' })
  })

  it('sends no refresh token', async () => {
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

  it('reports that the user declined', async () => {
    const { client, sandbox } = await newWorld()
    const login = client.call('login', { openBrowser: false }).catch((error: unknown) => error)
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const visit = await sandbox.signIn(String(authorizationUrl), { deny: true })
    expect(await login).toMatchObject({ code: 1002, data: { reason: 'access_denied' } })
    expect(visit.finalUrl).toMatch(/\/denied$/)
  })

  it.each<[string, (answer: Record<string, unknown>) => unknown]>([
    ['sends no ID token', ({ id_token: _, ...rest }) => rest],
    [
      'changes the ID token’s signature',
      (answer) => ({ ...answer, id_token: `${String(answer.id_token).slice(0, -8)}AAAAAAAA` }),
    ],
    [
      '[9700-9] sends an ID token for another nonce',
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
      'sends an ID token without a signature',
      (answer) => {
        const [, payload] = String(answer.id_token).split('.')
        return { ...answer, id_token: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.` }
      },
    ],
  ])('%s', async (_name, body) => {
    const { client, sandbox } = await newWorld()
    const login = client.call('login', { openBrowser: false }).catch((error: unknown) => error)
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    sandbox.script(TOKEN, { kind: 'replace', body })
    await sandbox.signIn(String(authorizationUrl))
    expect(await login).toMatchObject({ code: 1002, data: { reason: 'invalid_response' } })
    expect(await client.call('status')).toMatchObject({ state: 'signed_out' })
  })

  it('redirects with another issuer, which gets no code', async () => {
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
})

it('[OIDC-scope-userinfo-claims] a sign-in succeeds with the claims of the ID token if userinfo fails', async () => {
  const { sandbox, signIn } = await newWorld()
  sandbox.script('/oauth/userinfo', json(500, {}))
  expect(await signIn()).toMatchObject({ state: 'signed_in', user: sandbox.user })
})

describe('the authorization request', () => {
  it('[8252-1] has the parameters of RFC 8252, RFC 7636 and OpenID Connect, with new secrets each time', async () => {
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

  it('[8252-1 8252-3] is followed by a token request with the code verifier and the same redirect URI, and no client secret', async () => {
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

  it('asks Clerk for a new authentication if another account is wanted, and after a logout', async () => {
    const { client, sandbox, signIn } = await newWorld()
    const prompt = async (params: object = {}) => {
      const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false, ...params })
      return new URL(String(authorizationUrl)).searchParams.get('prompt')
    }
    expect(await prompt()).toBeNull()
    expect(await prompt({ prompt: 'login' })).toBe('login')
    expect(await prompt()).toBe('login') // joins it
    await client.call('cancelLogin')
    await signIn()
    await client.call('logout')
    expect(await prompt()).toBe('login')
    await client.call('cancelLogin')
    expect(await signIn()).toMatchObject({ state: 'signed_in', user: sandbox.user })
    expect(await prompt()).toBeNull()
  })

  it('goes through the sign-in page if one is configured', async () => {
    const { client } = await newWorld({ env: { CADZERO_AUTH_SIGN_IN_URL: 'https://www.example.com/sign-in' } })
    const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
    const url = new URL(String(authorizationUrl))
    expect(url.origin + url.pathname).toBe('https://www.example.com/sign-in')
    expect(url.searchParams.get('redirect_url')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/oauth\/authorize\?/)
  })
})
