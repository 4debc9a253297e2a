// The device authorization grant (RFC 8628) at the provider: what is shown to the user, and how each poll ends.
import { describe, expect, it } from 'vitest'
import { AuthorizationServer } from '../../src/clerk/authorization-server.ts'
import { parseDeviceResponse } from '../../src/clerk/device-authorization.ts'
import type { Grant } from '../../src/clerk/identity-provider.ts'
import { systemClock } from '../../src/host/clock.ts'
import { type Fetch, limitedFetch } from '../../src/host/network.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { Fault, SandboxOptions } from '../sandbox/index.ts'
import { newSandbox, newWorld, nextStatus } from '../support/world.ts'

const TOKEN = '/oauth/token'
const DEVICE = '/oauth/device_authorization'
const SCOPES = ['openid', 'profile', 'email', 'offline_access']
const json = (status: number, body: unknown, headers = {}): Fault => ({
  kind: 'respond',
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
})
const oauthError = (error: string, status = 400) => json(status, { error })
const change = (changes: object): Fault => ({ kind: 'replace', body: (answer) => ({ ...answer, ...changes }) })

const send: Fetch = (url, init) => fetch(url, init as RequestInit)

async function newServer(options: SandboxOptions = {}, fetchAny = send) {
  const sandbox = await newSandbox(options)
  const { issuer, clientId } = sandbox
  const server = new AuthorizationServer({
    issuer,
    clientId,
    scopes: SCOPES,
    signInUrl: undefined,
    fetch: limitedFetch(fetchAny, systemClock),
    clock: systemClock,
    random: systemRandom,
  })
  return { sandbox, server }
}

async function started(options?: SandboxOptions) {
  const { sandbox, server } = await newServer(options)
  const device = await server.authorizeDevice()
  const agree = () => sandbox.authorizeDevice(String(device.verificationUriComplete))
  return { sandbox, server, device, agree }
}

describe('the request', () => {
  it('sends the client, the scopes and a nonce, and nothing else', async () => {
    const { sandbox, device } = await started()
    const sent = sandbox.requests.find(({ path }) => path === DEVICE)
    expect(sent?.form).toEqual({
      client_id: sandbox.clientId,
      scope: SCOPES.join(' '),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
    })
    expect(device).toMatchObject({
      userCode: expect.stringMatching(/^[A-Z]{4}-[A-Z]{4}$/),
      verificationUri: `${sandbox.issuer}/oauth/device`,
      verificationUriComplete: `${sandbox.issuer}/oauth/device?user_code=${device.userCode}`,
      lifetime: 600,
      interval: 5,
    })
  })

  it('is not sent if the metadata has no endpoint for it', async () => {
    const { server, sandbox } = await newServer({ deviceFlow: false })
    await expect(server.authorizeDevice()).rejects.toMatchObject({
      name: 'RejectedError',
      reason: 'device_authorization_unsupported',
    })
    expect(sandbox.count(DEVICE)).toBe(0)
  })

  it('is not sent to an endpoint at another host', async () => {
    const { server } = await newServer({ metadata: { device_authorization_endpoint: 'https://evil.example/device' } })
    await expect(server.authorizeDevice()).rejects.toMatchObject({ reason: 'unsafe_metadata' })
  })

  it.each<[string, Fault, object]>([
    [
      'unauthorized_client',
      oauthError('unauthorized_client'),
      { name: 'RejectedError', reason: 'unauthorized_client' },
    ],
    ['an unknown error', oauthError('canary'), { name: 'RejectedError', reason: 'rejected' }],
    ['invalid_grant', oauthError('invalid_grant'), { name: 'RejectedError', reason: 'rejected' }],
    ['503', json(503, {}), { name: 'UnavailableError', reason: 'server' }],
    ['HTML', { kind: 'respond', status: 200, body: '<html>' }, { name: 'UnavailableError', reason: 'server' }],
    ['nothing', { kind: 'drop' }, { name: 'UnavailableError', reason: 'network' }],
    ['no code', change({ user_code: undefined }), { name: 'UnavailableError', reason: 'server' }],
    ['no lifetime', change({ expires_in: undefined }), { name: 'UnavailableError', reason: 'server' }],
  ])('fails if the provider sends %s', async (_name, fault, failure) => {
    const { server, sandbox } = await newServer()
    sandbox.script(DEVICE, fault)
    await expect(server.authorizeDevice()).rejects.toMatchObject(failure)
  })
})

describe('the response', () => {
  const ISSUER = 'https://clerk.example.com'
  const valid = {
    device_code: 'secret',
    user_code: 'BCDF-GHJK',
    verification_uri: 'https://accounts.example.com/device',
    expires_in: 600,
  }
  const parse = (changes: object, issuer = ISSUER) => parseDeviceResponse({ ...valid, ...changes }, issuer)

  it('may name a page at another host than the issuer, and no interval', () => {
    expect(parse({})).toEqual({
      userCode: 'BCDF-GHJK',
      verificationUri: 'https://accounts.example.com/device',
      verificationUriComplete: null,
      lifetime: 600,
      interval: 5,
    })
  })

  it.each([
    ['a code with a control character', { user_code: 'AB\u001b[2J' }],
    ['a code with a line break', { user_code: 'AB\nCD' }],
    ['an empty code', { user_code: '' }],
    ['a code of 65 characters', { user_code: 'x'.repeat(65) }],
    ['a page without TLS', { verification_uri: 'http://accounts.example.com/device' }],
    ['a page on this computer', { verification_uri: 'http://127.0.0.1:80/device' }],
    ['a page with a user', { verification_uri: 'https://clerk.example.com@evil.example/' }],
    ['a page that is a script', { verification_uri: 'javascript:alert(1)' }],
    ['a page that is no URL', { verification_uri: 'device' }],
    ['a page of 2,049 characters', { verification_uri: 'https://clerk.example.com/'.padEnd(2049, 'x') }],
  ])('is refused with %s', (_name, changes) => {
    expect(() => parse(changes)).toThrow(expect.objectContaining({ name: 'UnavailableError', reason: 'server' }))
  })

  it('loses a complete link that is unsafe', () => {
    expect(parse({ verification_uri_complete: 'http://evil.example/' }).verificationUriComplete).toBeNull()
  })

  it('may name a page on this computer if the issuer is here as well', () => {
    const page = { verification_uri: 'http://127.0.0.1:4001/device' }
    expect(parse(page, 'http://127.0.0.1:4000').verificationUri).toBe('http://127.0.0.1:4001/device')
    expect(() => parse({ verification_uri: 'http://evil.example/' }, 'http://127.0.0.1:4000')).toThrow('server')
  })
})

describe('a poll', () => {
  it('waits until the user has agreed, and results in the grant', async () => {
    const { sandbox, device, agree } = await started()
    expect(await device.poll()).toBe('authorization_pending')
    await agree()
    expect(await device.poll()).toMatchObject({
      accessToken: { value: expect.any(String), lifetime: 60 },
      refreshToken: expect.any(String),
      user: sandbox.user,
      organization: null,
    })
    const sent = sandbox.requests.filter(({ path }) => path === TOKEN)
    for (const { form } of sent) {
      expect(form).toEqual({
        client_id: sandbox.clientId,
        grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
        device_code: expect.any(String),
      })
    }
  })

  it('gives a session that can be refreshed and revoked', async () => {
    const { server, device, agree } = await started()
    await agree()
    const session = { ...((await device.poll()) as Grant), generation: 1 }
    const renewal = await server.refresh(session)
    expect(renewal.refreshToken).not.toBe(session.refreshToken)
    expect(await server.revoke({ ...session, ...renewal })).toMatchObject({ revoked: true })
  })

  it('fails if the user declines', async () => {
    const { sandbox, device } = await started()
    await sandbox.authorizeDevice(String(device.verificationUriComplete), { deny: true })
    await expect(device.poll()).rejects.toMatchObject({ name: 'SignInError', reason: 'access_denied' })
  })

  it.each([
    ['slow_down', 400],
    ['slow_down', 401],
    ['authorization_pending', 401],
  ])('is to be repeated after %s with status %s', async (error, status) => {
    const { sandbox, device } = await started()
    sandbox.script(TOKEN, oauthError(error, status))
    expect(await device.poll()).toBe(error)
  })

  it.each<[string, Fault, object]>([
    ['expired_token', oauthError('expired_token'), { name: 'SignInError', reason: 'timeout' }],
    ['access_denied', oauthError('access_denied', 403), { name: 'SignInError', reason: 'access_denied' }],
    ['invalid_grant', oauthError('invalid_grant'), { name: 'SignInError', reason: 'invalid_response' }],
    ['invalid_client', oauthError('invalid_client', 401), { name: 'RejectedError', reason: 'invalid_client' }],
    ['503', json(503, { error: 'x' }, { 'retry-after': '7' }), { name: 'UnavailableError', retryAfterSeconds: 7 }],
    ['429', json(429, {}), { name: 'UnavailableError', reason: 'rate_limited' }],
    ['nothing', { kind: 'drop' }, { name: 'UnavailableError', reason: 'network' }],
    // The sign-in goes on after it, since the user may be entering the code at this moment.
    [
      'the page of a captive portal',
      { kind: 'respond', status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' },
      { name: 'UnavailableError', failure: { cause: 'captive_portal' } },
    ],
  ])('fails after %s', async (_name, fault, failure) => {
    const { sandbox, device } = await started()
    sandbox.script(TOKEN, fault)
    await expect(device.poll()).rejects.toMatchObject(failure)
  })

  const claim = (changes: object) => (answer: Record<string, unknown>) => {
    const [header, payload = '', signature] = String(answer.id_token).split('.')
    const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), ...changes }
    return {
      ...answer,
      id_token: [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.'),
    }
  }

  it.each<[string, (answer: Record<string, unknown>) => unknown, object]>([
    ['no ID token', ({ id_token: _, ...rest }) => rest, { name: 'SignInError', reason: 'invalid_response' }],
    ['an ID token that was changed', claim({ sub: 'user_other' }), { name: 'SignInError', reason: 'invalid_response' }],
    ['an ID token for another client', claim({ aud: 'other' }), { name: 'SignInError', reason: 'invalid_response' }],
    [
      'no refresh token',
      ({ refresh_token: _, ...rest }) => rest,
      { name: 'RejectedError', reason: 'no_refresh_token' },
    ],
  ])('fails if the response has %s', async (_name, body, failure) => {
    const { sandbox, device, agree } = await started()
    await agree()
    sandbox.script(TOKEN, { kind: 'replace', body })
    await expect(device.poll()).rejects.toMatchObject(failure)
  })

  it.each([
    ['fails if the ID token has another nonce', 'other'],
    ['succeeds if the ID token has no nonce, which RFC 8628 does not know', undefined],
  ])('%s', async (_name, nonce) => {
    // The provider signs the nonce that it was sent: the request is changed on its way.
    const { sandbox, server } = await newServer({}, (url, init) => {
      if (!String(url).endsWith(DEVICE)) return send(url, init)
      const body = new URLSearchParams(String(init?.body))
      if (nonce === undefined) body.delete('nonce')
      else body.set('nonce', nonce)
      return send(url, { ...init, body })
    })
    const device = await server.authorizeDevice()
    await sandbox.authorizeDevice(String(device.verificationUriComplete))
    if (nonce === undefined) expect(await device.poll()).toMatchObject({ user: sandbox.user })
    else await expect(device.poll()).rejects.toMatchObject({ name: 'SignInError', reason: 'invalid_response' })
  })
})

describe('through the daemon', () => {
  it('a code is shown, the user enters it on another device, and the session is refreshed and revoked as any other', async () => {
    const { client, sandbox } = await newWorld({ deviceInterval: 1 })
    const shown = nextStatus(client, ({ deviceAuthorization }) => deviceAuthorization !== null)
    const login = client.call('login', { method: 'device' })
    const { state, authorizationUrl, deviceAuthorization } = await shown
    expect({ state, authorizationUrl }).toEqual({ state: 'signing_in', authorizationUrl: null })
    await sandbox.authorizeDevice(String(deviceAuthorization?.verificationUri), {
      userCode: String(deviceAuthorization?.userCode),
    })
    expect(await login).toMatchObject({ state: 'signed_in', user: sandbox.user, deviceAuthorization: null })
    const before = await client.call('getAuthHeader')
    expect(await client.call('refresh')).not.toEqual(before)
    expect(await client.call('logout')).toMatchObject({ revoked: true })
  })

  it('a provider without the grant is a rejected request, and nothing hangs', async () => {
    const { client } = await newWorld({ deviceFlow: false })
    const failure = { code: 1004, data: { reason: 'device_authorization_unsupported' } }
    await expect(client.call('login', { method: 'device' })).rejects.toMatchObject(failure)
    expect(await client.call('status')).toMatchObject({ state: 'signed_out', signIn: null })
  })
})
