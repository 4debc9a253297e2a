// Tests of the sandbox itself with an independent OpenID client, since the other tests rely on it.
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import * as oauth from 'openid-client'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Sandbox, type SandboxOptions, startSandbox, type VisitOptions } from './index.ts'

const TOKEN = '/oauth/token'
const REVOKE = '/oauth/token/revoke'
const JWKS = '/.well-known/jwks.json'
const REDIRECT = 'http://127.0.0.1:1/callback' // no listener: the callback is not delivered

async function newSandbox(options?: SandboxOptions): Promise<Sandbox> {
  const sandbox = await startSandbox(options)
  onTestFinished(() => sandbox.close())
  return sandbox
}

async function discover({ issuer, clientId }: Sandbox): Promise<oauth.Configuration> {
  const execute = [oauth.allowInsecureRequests, oauth.enableNonRepudiationChecks]
  return await oauth.discovery(new URL(issuer), clientId, undefined, oauth.None(), { execute })
}

async function signIn(sandbox: Sandbox, scope = 'openid profile email offline_access') {
  const { config, checks, url } = await authorize(sandbox, { scope })
  const { callbackUrl } = await sandbox.signIn(url, { deliver: false })
  const tokens = await oauth.authorizationCodeGrant(config, new URL(callbackUrl), checks)
  return { config, tokens, refreshToken: String(tokens.refresh_token) }
}

async function authorize(sandbox: Sandbox, parameters: Record<string, string> = {}) {
  const config = await discover(sandbox)
  const checks = {
    pkceCodeVerifier: oauth.randomPKCECodeVerifier(),
    expectedState: oauth.randomState(),
    expectedNonce: oauth.randomNonce(),
  }
  const url = oauth.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT,
    scope: 'openid profile email offline_access',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: 'S256',
    ...parameters,
  })
  return { config, checks, url: url.href }
}

const invalidGrant = (status = 400) => expect.objectContaining({ error: 'invalid_grant', status })
const userinfo = (sandbox: Sandbox, token: string) =>
  fetch(`${sandbox.issuer}/oauth/userinfo`, { headers: { authorization: `Bearer ${token}` } })
const revoke = ({ issuer, clientId }: Sandbox, token: string) =>
  fetch(issuer + REVOKE, { method: 'POST', body: new URLSearchParams({ client_id: clientId, token }) })

afterEach(() => void vi.useRealTimers())

describe('a sign-in at the sandbox', () => {
  it('issues tokens that identify the user', async () => {
    const sandbox = await newSandbox()
    const { config, tokens } = await signIn(sandbox)
    const { id, email, name } = sandbox.user
    expect(tokens).toMatchObject({
      token_type: 'bearer',
      expires_in: 60,
      scope: 'openid profile email offline_access',
      refresh_token: expect.any(String),
    })
    expect(tokens.claims()).toMatchObject({ iss: sandbox.issuer, aud: sandbox.clientId, sub: id, email, name })
    const info = await oauth.fetchUserInfo(config, tokens.access_token, id)
    expect(info).toMatchObject({ object: 'oauth_user_info', user_id: id, sub: id, email, email_verified: true, name })
    const { payload, protectedHeader } = await jwtVerify(
      tokens.access_token,
      createRemoteJWKSet(new URL(sandbox.issuer + JWKS)),
      { issuer: sandbox.issuer, typ: 'at+jwt', algorithms: ['RS256'] },
    )
    expect(protectedHeader.kid).toMatch(/^ins_/)
    const { iat = 0 } = payload
    expect(payload).toMatchObject({ sub: id, client_id: sandbox.clientId, exp: iat + 60, nbf: iat })
    expect(payload.jti).toMatch(/^oat_/)
    expect(payload.scope).toBe(tokens.scope)
  })

  it('issues opaque tokens for the same user if so configured', async () => {
    const sandbox = await newSandbox({ accessTokenFormat: 'opaque' })
    const { config, tokens } = await signIn(sandbox)
    expect(() => decodeProtectedHeader(tokens.access_token)).toThrow()
    const { id, email, name } = sandbox.user
    expect(tokens.claims()).toMatchObject({ sub: id, email, name })
    expect(await oauth.fetchUserInfo(config, tokens.access_token, id)).toMatchObject({ user_id: id, email, name })
  })

  it('fails without PKCE', async () => {
    const sandbox = await newSandbox()
    const url = new URL((await authorize(sandbox)).url)
    url.searchParams.delete('code_challenge')
    url.searchParams.delete('code_challenge_method')
    const { callbackUrl } = await sandbox.signIn(url.href, { deliver: false })
    expect(new URL(callbackUrl).searchParams.get('error')).toBe('invalid_request')
  })

  it('[8252-9] shows an error page for a redirect URI that is not registered', async () => {
    const sandbox = await newSandbox()
    for (const redirect_uri of ['http://127.0.0.1:1/other', 'http://localhost:1/callback']) {
      const response = await fetch((await authorize(sandbox, { redirect_uri })).url, {
        headers: { accept: 'text/html' },
      })
      expect(response.status).toBe(400)
      expect(await response.text()).toContain('redirect_uri')
    }
  })

  it('returns access_denied to the client when the user declines', async () => {
    const sandbox = await newSandbox()
    const { config, checks, url } = await authorize(sandbox)
    const denied: VisitOptions = { deny: true, deliver: false }
    const { callbackUrl, status } = await sandbox.signIn(url, denied)
    expect(status).toBeUndefined()
    await expect(oauth.authorizationCodeGrant(config, new URL(callbackUrl), checks)).rejects.toMatchObject({
      error: 'access_denied',
    })
    expect(sandbox.count(TOKEN)).toBe(0)
  })

  it('issues a refresh token only for the scope offline_access', async () => {
    const sandbox = await newSandbox()
    expect((await signIn(sandbox, 'openid offline_access')).tokens.refresh_token).toBeDefined()
    expect((await signIn(sandbox, 'openid email')).tokens.refresh_token).toBeUndefined()
    expect((await signIn(await newSandbox({ refreshTokens: false }))).tokens.refresh_token).toBeUndefined()
  })

  it('delivers the code to a listener on any loopback port', async () => {
    const [client, sandbox] = [await newSandbox(), await newSandbox()]
    client.script('/callback', { kind: 'respond', status: 302, headers: { location: '/done' } })
    client.script('/done', { kind: 'respond', status: 200, body: 'you may close this page' })
    const { url } = await authorize(sandbox, { redirect_uri: `${client.issuer}/callback` })
    expect(await sandbox.signIn(url)).toMatchObject({
      status: 200,
      body: 'you may close this page',
      callbackUrl: expect.stringContaining(`${client.issuer}/callback?code=`),
      finalUrl: `${client.issuer}/done`,
    })
  })
})

describe('a device at the sandbox', () => {
  async function start(sandbox: Sandbox) {
    const config = await discover(sandbox)
    const nonce = oauth.randomNonce()
    const scope = 'openid profile email offline_access'
    const device = await oauth.initiateDeviceAuthorization(config, { scope, nonce })
    const grant = 'urn:ietf:params:oauth:grant-type:device_code'
    const poll = () => oauth.genericGrantRequest(config, grant, { device_code: device.device_code })
    return { config, device, poll, nonce }
  }

  it('shows a code, waits, and gets the tokens of the person who enters it', async () => {
    const sandbox = await newSandbox()
    const { device, poll, nonce } = await start(sandbox)
    expect(device).toMatchObject({
      user_code: expect.stringMatching(/^[A-Z]{4}-[A-Z]{4}$/),
      verification_uri: `${sandbox.issuer}/oauth/device`,
      verification_uri_complete: `${sandbox.issuer}/oauth/device?user_code=${device.user_code}`,
      expires_in: 600,
      interval: 5,
    })
    await expect(poll()).rejects.toMatchObject({ error: 'authorization_pending' })
    const { body } = await sandbox.authorizeDevice(device.verification_uri, { userCode: device.user_code })
    expect(body).toContain('Connected')
    const tokens = await poll()
    expect(tokens.refresh_token).toBeDefined()
    expect(tokens.claims()).toMatchObject({ sub: sandbox.user.id, nonce })
    await expect(poll()).rejects.toEqual(invalidGrant())
  })

  it('gets access_denied if the person declines', async () => {
    const sandbox = await newSandbox()
    const { device, poll } = await start(sandbox)
    const { body } = await sandbox.authorizeDevice(String(device.verification_uri_complete), { deny: true })
    expect(body).toContain('Declined')
    await expect(poll()).rejects.toMatchObject({ error: 'access_denied' })
  })

  it('is not served if the account has no device grant', async () => {
    const { serverMetadata } = {
      serverMetadata: (await discover(await newSandbox({ deviceFlow: false }))).serverMetadata(),
    }
    expect(serverMetadata.device_authorization_endpoint).toBeUndefined()
  })
})

describe('a refresh at the sandbox', () => {
  it('rotates the refresh token, and ends the grant when a spent one is used again', async () => {
    const { config, refreshToken } = await signIn(await newSandbox())
    const second = String((await oauth.refreshTokenGrant(config, refreshToken)).refresh_token)
    expect(second).not.toBe(refreshToken)
    await expect(oauth.refreshTokenGrant(config, refreshToken)).rejects.toEqual(invalidGrant())
    await expect(oauth.refreshTokenGrant(config, second)).rejects.toEqual(invalidGrant())
  })

  it('accepts a spent refresh token once more in forgiving mode', async () => {
    const { config, refreshToken } = await signIn(await newSandbox({ refreshReuse: 'forgiving' }))
    await oauth.refreshTokenGrant(config, refreshToken)
    const again = String((await oauth.refreshTokenGrant(config, refreshToken)).refresh_token)
    expect((await oauth.refreshTokenGrant(config, again)).access_token).toBeDefined()
    await expect(oauth.refreshTokenGrant(config, refreshToken)).rejects.toEqual(invalidGrant())
    await expect(oauth.refreshTokenGrant(config, again)).rejects.toEqual(invalidGrant())
  })

  it('fails with status 401 if so configured', async () => {
    const { config, refreshToken } = await signIn(await newSandbox({ invalidGrantStatus: 401 }))
    await oauth.refreshTokenGrant(config, refreshToken)
    await expect(oauth.refreshTokenGrant(config, refreshToken)).rejects.toEqual(invalidGrant(401))
  })

  it.each(['jwt', 'opaque'] as const)('issues %s tokens with the announced lifetime', async (accessTokenFormat) => {
    const sandbox = await newSandbox({ accessTokenFormat, accessTokenTtl: 2 })
    const { config, tokens, refreshToken } = await signIn(sandbox)
    expect(tokens.expires_in).toBe(2)
    sandbox.setAccessTokenTtl(1)
    const next = await oauth.refreshTokenGrant(config, refreshToken)
    expect(next.expires_in).toBe(1)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
    vi.setSystemTime(Date.now() + 2000)
    expect((await userinfo(sandbox, next.access_token)).status).toBe(401)
    expect((await oauth.refreshTokenGrant(config, String(next.refresh_token))).expires_in).toBe(1)
    expect(() => sandbox.setAccessTokenTtl(0)).toThrow(RangeError)
  })

  it('fails after an administrator has revoked the grants, until a new sign-in', async () => {
    const sandbox = await newSandbox()
    const { config, refreshToken } = await signIn(sandbox)
    await sandbox.revokeGrants()
    await expect(oauth.refreshTokenGrant(config, refreshToken)).rejects.toEqual(invalidGrant())
    expect((await signIn(sandbox)).refreshToken).not.toBe(refreshToken)
  })

  it('succeeds after a key rotation, with tokens of the new key only', async () => {
    const sandbox = await newSandbox()
    const { config, tokens, refreshToken } = await signIn(sandbox)
    await sandbox.rotateKeys()
    const next = await oauth.refreshTokenGrant(await discover(sandbox), refreshToken)
    const { keys } = (await (await fetch(sandbox.issuer + JWKS)).json()) as { keys: unknown[] }
    expect(keys).toEqual([expect.objectContaining({ kid: decodeProtectedHeader(next.access_token).kid, alg: 'RS256' })])
    expect(keys[0]).not.toHaveProperty('d')
    expect((await userinfo(sandbox, tokens.access_token)).status).toBe(401)
    await oauth.fetchUserInfo(config, next.access_token, sandbox.user.id)
  })
})

describe('a revocation at the sandbox', () => {
  it('ends the grant of a refresh token', async () => {
    const sandbox = await newSandbox({ accessTokenFormat: 'opaque' })
    const { config, tokens, refreshToken } = await signIn(sandbox)
    await oauth.tokenRevocation(config, refreshToken)
    await expect(oauth.refreshTokenGrant(config, refreshToken)).rejects.toEqual(invalidGrant())
    expect((await userinfo(sandbox, tokens.access_token)).status).toBe(401)
    expect(sandbox.requests.find(({ path }) => path === REVOKE)?.form).toMatchObject({ client_id: sandbox.clientId })
  })

  it('fails for a JWT, and succeeds for an unknown token', async () => {
    const sandbox = await newSandbox()
    const { config, tokens, refreshToken } = await signIn(sandbox)
    const refusal = await revoke(sandbox, tokens.access_token)
    expect([refusal.status, await refusal.json()]).toMatchObject([400, { error: 'unsupported_token_type' }])
    expect((await revoke(sandbox, 'unknown-token')).status).toBe(200)
    expect((await oauth.refreshTokenGrant(config, refreshToken)).access_token).toBeDefined()
  })
})

describe('the sandbox', () => {
  it('publishes the same metadata as Clerk', async () => {
    const metadata = { token_endpoint: 'https://evil.example/token', code_challenge_methods_supported: undefined }
    const [plain, scripted] = [await newSandbox(), await newSandbox({ metadata })]
    for (const name of ['openid-configuration', 'oauth-authorization-server']) {
      const { issuer } = plain
      const published = await (await fetch(`${issuer}/.well-known/${name}`)).json()
      expect(published).toMatchObject({
        issuer,
        authorization_endpoint: `${issuer}/oauth/authorize`,
        token_endpoint: issuer + TOKEN,
        revocation_endpoint: issuer + REVOKE,
        introspection_endpoint: `${issuer}/oauth/token_info`,
        userinfo_endpoint: `${issuer}/oauth/userinfo`,
        jwks_uri: issuer + JWKS,
        response_types_supported: ['code'],
        device_authorization_endpoint: `${issuer}/oauth/device_authorization`,
        grant_types_supported: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        token_endpoint_auth_methods_supported: ['client_secret_basic', 'none'],
        code_challenge_methods_supported: ['S256'],
        authorization_response_iss_parameter_supported: true,
      })
      const hostile = await (await fetch(`${scripted.issuer}/.well-known/${name}`)).json()
      expect(hostile).toMatchObject({ issuer: scripted.issuer, token_endpoint: metadata.token_endpoint })
      expect(hostile).not.toHaveProperty('code_challenge_methods_supported')
    }
  })

  it('records every request in order', async () => {
    const sandbox = await newSandbox()
    const { config, refreshToken } = await signIn(sandbox)
    sandbox.script(TOKEN, { kind: 'respond', status: 503 })
    await expect(oauth.refreshTokenGrant(config, refreshToken)).rejects.toThrow()
    await oauth.refreshTokenGrant(config, refreshToken)
    expect([sandbox.count(TOKEN), sandbox.count(TOKEN, 'refresh_token')]).toEqual([3, 2])
    const [first, ...rest] = sandbox.requests
    expect(first).toMatchObject({ method: 'GET', path: '/.well-known/openid-configuration', grantType: null })
    expect(rest.at(-1)).toMatchObject({ method: 'POST', path: TOKEN, form: { refresh_token: refreshToken } })
    const asked = rest.find(({ path }) => path === '/oauth/authorize')
    expect(asked?.query).toMatchObject({ redirect_uri: REDIRECT, code_challenge_method: 'S256' })
    expect(asked?.query).not.toHaveProperty('prompt')
    const times = sandbox.requests.map(({ at }) => at)
    expect(times).toEqual([...times].sort((a, b) => a - b))
  })

  it('shares no state with another sandbox in the same process', async () => {
    const [one, two] = [await newSandbox(), await newSandbox()]
    const { refreshToken } = await signIn(one)
    await expect(oauth.refreshTokenGrant(await discover(two), refreshToken)).rejects.toEqual(invalidGrant())
    two.script(TOKEN, { kind: 'drop' })
    await two.revokeGrants()
    const { access_token: token } = await oauth.refreshTokenGrant(await discover(one), refreshToken)
    expect(decodeJwt(token).iss).toBe(one.issuer)
    expect([one.count(TOKEN), two.count(TOKEN)]).toEqual([2, 1])
    expect(one.user.id).not.toBe(two.user.id)
    expect(one.clientId).not.toBe(two.clientId)
  })

  it('reports its internal errors on close, and releases its port', async () => {
    const sandbox = await startSandbox()
    sandbox.script(JWKS, { kind: 'replace', body: () => raise('an internal error') })
    await expect(fetch(sandbox.issuer + JWKS)).rejects.toThrow('fetch failed')
    await expect(sandbox.close()).rejects.toMatchObject({
      errors: [expect.objectContaining({ message: 'an internal error' })],
    })
    const next = await newSandbox({ port: Number(new URL(sandbox.issuer).port) })
    expect(next.issuer).toBe(sandbox.issuer)
  })
})

function raise(message: string): never {
  throw new Error(message)
}

describe('a scripted request', () => {
  const gone = expect.objectContaining({ message: expect.stringMatching(/fetch failed|terminated/) })
  const ask = (sandbox: Sandbox, init?: RequestInit) => fetch(sandbox.issuer + JWKS, init)

  it('meets the scripted faults in order, and then succeeds again', async () => {
    const sandbox = await newSandbox()
    const respond = (status: number) => ({ kind: 'respond', status }) as const
    sandbox.script(JWKS, { kind: 'pass' }, respond(500))
    sandbox.script(JWKS, respond(429))
    const statuses: number[] = []
    for (let i = 0; i < 4; i++) statuses.push((await ask(sandbox)).status)
    expect(statuses).toEqual([200, 500, 429, 200])
  })

  it('gets a delayed response', async () => {
    const sandbox = await newSandbox()
    sandbox.script(JWKS, { kind: 'delay', ms: 60 })
    const before = performance.now()
    expect((await ask(sandbox)).status).toBe(200)
    expect(performance.now() - before).toBeGreaterThan(55)
  })

  it('waits until the test releases it', async () => {
    const sandbox = await newSandbox()
    const events: string[] = []
    let release = () => {}
    sandbox.script(JWKS, { kind: 'hold', until: new Promise<void>((resolve) => (release = resolve)) })
    const [first, second] = [sandbox.arrived(JWKS), sandbox.arrived(JWKS, 2)]
    const held = ask(sandbox).then(({ status }) => events.push(`held ${status}`))
    await first
    await ask(sandbox).then(({ status }) => events.push(`other ${status}`))
    await second
    release()
    await held
    expect(events).toEqual(['other 200', 'held 200'])
  })

  it('gets a scripted response without reaching the provider', async () => {
    const sandbox = await newSandbox()
    const { config, refreshToken } = await signIn(sandbox)
    const response = {
      kind: 'respond',
      status: 429,
      headers: { 'retry-after': '7' },
      body: '{"error":"slow_down"}',
    } as const
    sandbox.script(TOKEN, response)
    const failure = await oauth.refreshTokenGrant(config, refreshToken).catch((error: unknown) => error)
    expect(failure).toMatchObject({ cause: { status: 429 } })
    expect((await oauth.refreshTokenGrant(config, refreshToken)).refresh_token).toBeDefined()
  })

  it('is dropped before it reaches the provider', async () => {
    const sandbox = await newSandbox()
    const { config, refreshToken } = await signIn(sandbox)
    sandbox.script(TOKEN, { kind: 'drop' })
    await expect(oauth.refreshTokenGrant(config, refreshToken)).rejects.toEqual(gone)
    expect((await oauth.refreshTokenGrant(config, refreshToken)).refresh_token).toBeDefined()
  })

  it('is dropped after the provider has handled it, so that the token is spent and the response is lost', async () => {
    const sandbox = await newSandbox()
    const { config, refreshToken } = await signIn(sandbox)
    sandbox.script(TOKEN, { kind: 'dropAfter' })
    await expect(oauth.refreshTokenGrant(config, refreshToken)).rejects.toEqual(gone)
    await expect(oauth.refreshTokenGrant(config, refreshToken)).rejects.toEqual(invalidGrant())
  })

  it('gets half of a response before the connection closes', async () => {
    const sandbox = await newSandbox()
    sandbox.script(JWKS, { kind: 'truncate' })
    const response = await ask(sandbox)
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toEqual(gone)
  })

  it('gets half of a response and then nothing until the sandbox closes', async () => {
    const sandbox = await newSandbox()
    sandbox.script(JWKS, { kind: 'stall' })
    const response = await ask(sandbox)
    const reader = response.body?.getReader()
    const half = await reader?.read()
    expect(half?.value?.length).toBe(Number(response.headers.get('content-length')) >> 1)
    const rest = reader?.read()
    await Promise.all([expect(rest).rejects.toEqual(gone), sandbox.close()])
  })

  it('gets no response until the client disconnects or the sandbox closes', async () => {
    const sandbox = await newSandbox()
    sandbox.script(JWKS, { kind: 'hang' }, { kind: 'hang' })
    const [one, both] = [sandbox.arrived(JWKS), sandbox.arrived(JWKS, 2)]
    const controller = new AbortController()
    const first = ask(sandbox, { signal: controller.signal })
    await one
    controller.abort()
    await expect(first).rejects.toThrow('aborted')
    const second = ask(sandbox)
    await both
    await Promise.all([expect(second).rejects.toEqual(gone), sandbox.close()])
  })

  it('gets a changed response of the provider', async () => {
    const sandbox = await newSandbox()
    const { config, refreshToken } = await signIn(sandbox)
    sandbox.script(TOKEN, { kind: 'replace', body: ({ refresh_token: _, ...rest }) => ({ ...rest, expires_in: 7 }) })
    const changed = await oauth.refreshTokenGrant(config, refreshToken)
    expect(changed).toMatchObject({ expires_in: 7, access_token: expect.any(String) })
    expect(changed.refresh_token).toBeUndefined()
    sandbox.script(JWKS, { kind: 'replace', status: 203, body: () => ['no', 'keys'] })
    const response = await ask(sandbox)
    expect([response.status, await response.json()]).toEqual([203, ['no', 'keys']])
  })
})
