// What a session says about its user: name and e-mail address follow the provider, and so do the organization and the end.
import { describe, expect, it } from 'vitest'
import type { Fault, Sandbox, SandboxOptions } from '../sandbox/index.ts'
import { newClerkAuthenticator } from '../support/clerk-authenticator.ts'
import { newSandbox, settingsOf } from '../support/world.ts'

const TOKEN = '/oauth/token'
const USERINFO = '/oauth/userinfo'
const RENAMED = { email: 'ada.byron@example.org', name: 'Ada Byron' }
const change = (changes: object): Fault => ({ kind: 'replace', body: (answer) => ({ ...answer, ...changes }) })
const withoutIdToken: Fault = { kind: 'replace', body: ({ id_token: _, ...rest }) => rest }

async function signedIn(options: SandboxOptions & { scopes?: string; firstResponse?: Fault } = {}) {
  const { scopes, firstResponse, ...sandboxOptions } = options
  const sandbox = await newSandbox(sandboxOptions)
  const settings = { ...settingsOf(sandbox), ...(scopes ? { CADZERO_AUTH_SCOPES: scopes } : {}) }
  const all = await newClerkAuthenticator(settings)
  if (firstResponse) sandbox.script(TOKEN, firstResponse)
  await all.authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
  await sandbox.signIn(String(all.authenticator.status().authorizationUrl))
  return { ...all, sandbox, user: () => all.authenticator.status().user }
}

function rename(sandbox: Sandbox, to: object = RENAMED): void {
  Object.assign(sandbox.user, to)
}

/** The claims of an ID token, changed. Its signature no longer fits. */
function withClaims(changes: object): Fault {
  const body = (answer: Record<string, unknown>) => {
    const [header, payload = '', signature] = String(answer.id_token).split('.')
    const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), ...changes }
    const changed = Buffer.from(JSON.stringify(claims)).toString('base64url')
    return { ...answer, id_token: `${header}.${changed}.${signature}` }
  }
  return { kind: 'replace', body }
}

describe('name and e-mail address', () => {
  it.each(['jwt', 'opaque'] as const)('come from the ID token of a refresh (%s access tokens)', async (format) => {
    const { authenticator, sandbox, user } = await signedIn({ accessTokenFormat: format })
    rename(sandbox)
    await authenticator.refresh()
    expect(user()).toEqual({ id: sandbox.user.id, ...RENAMED })
    expect(sandbox.count(USERINFO)).toBe(1) // at the sign-in
  })

  it.each(['jwt', 'opaque'] as const)(
    'come from userinfo after a day if a refresh has no ID token (%s)',
    async (format) => {
      const { authenticator, sandbox, user, clock } = await signedIn({ accessTokenFormat: format })
      rename(sandbox)
      sandbox.script(TOKEN, withoutIdToken, withoutIdToken)
      await authenticator.refresh()
      expect(user()).toMatchObject({ name: 'Ada Lovelace' })
      clock.sleep(86_400)
      await authenticator.refresh()
      await expect.poll(user).toEqual({ id: sandbox.user.id, ...RENAMED })
      expect(sandbox.count(USERINFO)).toBe(2)
    },
  )

  it.each([
    ['another user', { sub: 'user_other', name: 'Eve' }],
    ['another client', { aud: 'other', name: 'Eve' }],
    ['another issuer', { iss: 'https://evil.example', name: 'Eve' }],
  ])('do not come from an ID token for %s', async (_name, claims) => {
    const { authenticator, sandbox, user } = await signedIn()
    const before = user()
    sandbox.script(TOKEN, withClaims(claims))
    await authenticator.refresh()
    expect(user()).toEqual(before)
  })

  it('do not come from the userinfo of another user', async () => {
    const { authenticator, sandbox, user, clock } = await signedIn()
    const before = user()
    sandbox.script(TOKEN, withoutIdToken)
    sandbox.script(USERINFO, change({ sub: 'user_other', name: 'Eve' }))
    clock.sleep(86_400)
    const arrived = sandbox.arrived(USERINFO)
    await authenticator.refresh()
    await arrived
    await authenticator.settled()
    expect(user()).toEqual(before)
  })

  it('stay if the claims are absent, and are removed if the claims are null', async () => {
    const { authenticator, sandbox, user } = await signedIn()
    sandbox.script(TOKEN, withClaims({ name: undefined, email: 5 }))
    await authenticator.refresh()
    expect(user()).toMatchObject({ name: 'Ada Lovelace', email: 'ada@example.com' })
    sandbox.script(TOKEN, withClaims({ name: null, email: null }))
    await authenticator.refresh()
    expect(user()).toMatchObject({ name: null, email: null })
  })

  it('hold no control characters', async () => {
    const { authenticator, sandbox, user } = await signedIn()
    rename(sandbox, { name: 'Ada\u001b[2J\r\nByron' })
    await authenticator.refresh()
    expect(user()?.name).toBe('Ada [2J Byron')
  })
})

describe('the organization', () => {
  const scopes = 'openid profile email offline_access user:org:read'
  const acme = { id: 'org_acme', slug: 'acme' }

  it('is null without the scope', async () => {
    const { authenticator, sandbox } = await signedIn()
    sandbox.setOrganization(acme)
    await authenticator.refresh()
    expect(authenticator.status().organization).toBeNull()
  })

  it('follows the access token if that is a JWT', async () => {
    const { authenticator, sandbox } = await signedIn({ scopes })
    expect(authenticator.status().organization).toBeNull()
    sandbox.setOrganization(acme)
    await authenticator.refresh()
    expect(authenticator.status().organization).toEqual({ id: 'org_acme', slug: null, role: null })
  })

  it('follows userinfo once a day if the access token is opaque', async () => {
    const { authenticator, sandbox, clock } = await signedIn({ scopes, accessTokenFormat: 'opaque' })
    const organization = () => authenticator.status().organization
    sandbox.setOrganization(acme)
    clock.sleep(86_400)
    await authenticator.refresh()
    await expect.poll(organization).toEqual({ ...acme, role: null })
    sandbox.setOrganization(undefined)
    clock.sleep(86_400)
    await authenticator.refresh()
    await expect.poll(organization).toBeNull()
  })
})

describe('the end of the session', () => {
  it('is unknown if the provider does not tell it', async () => {
    const { authenticator } = await signedIn()
    await authenticator.refresh()
    expect(authenticator.status().sessionExpiresAt).toBeNull()
  })

  it('is as the token response of the sign-in foretells it, and moves with the refreshes that foretell another', async () => {
    const { authenticator, sandbox, clock } = await signedIn({
      firstResponse: change({ authorization_expires_in: 9000, refresh_token_timeout: 1000 }),
    })
    const end = () => Number(authenticator.status().sessionExpiresAt) - Math.floor(clock.now())
    expect(end()).toBe(1000)
    sandbox.script(TOKEN, change({ refresh_token_expires_in: 2000 }))
    await authenticator.refresh()
    expect(end()).toBe(2000)
    await authenticator.refresh() // says nothing
    expect(end()).toBe(2000)
  })

  it('becomes unknown if the session outlives it', async () => {
    const { authenticator, clock } = await signedIn({ firstResponse: change({ refresh_token_expires_in: 100 }) })
    clock.sleep(101)
    await authenticator.refresh()
    expect(authenticator.status()).toMatchObject({ state: 'signed_in', sessionExpiresAt: null })
  })

  it.each(['soon', -1, null, 1e300])('is not %j', async (value) => {
    const { authenticator } = await signedIn({ firstResponse: change({ refresh_token_expires_in: value }) })
    expect(authenticator.status()).toMatchObject({ state: 'signed_in', sessionExpiresAt: null })
  })
})
