// The configuration: what stands over what, and that every mistake is named with what it should be.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { locateFolders } from '../../src/config/paths.ts'
import { systemFiles } from '../../src/host/files.ts'
import { temporaryFolder } from '../support/folder.ts'

async function load(content: unknown, env: NodeJS.ProcessEnv = {}) {
  const path = join(await temporaryFolder(), 'config.json')
  if (content !== undefined) await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return await loadConfig(systemFiles, path, env)
}

const own = { issuer: 'https://clerk.example.com', clientId: 'client_1' }

describe('the configuration', () => {
  it('without a file is CADZERO’s own profiles, production first', async () => {
    const config = await load(undefined)
    expect(config).toMatchObject({ defaultProfile: 'production', port: 0, logLevel: 'info', keyProtection: 'auto' })
    expect([...config.profiles.keys()]).toEqual(['local', 'staging', 'production'])
    expect(config.profiles.get('production')).toMatchObject({
      issuer: 'https://clerk.cadzero.xyz',
      clientId: null,
      scopes: ['openid', 'profile', 'email', 'offline_access'],
      redirectPort: 8765, // the page as it is knows this port, and carries no state
      requireState: false,
      refresh: true,
    })
  })

  it('asks another page than the built-in one for a state', async () => {
    const page = { signInUrl: 'https://www.example.com/cadzero/auth-callback' }
    const config = await load({ profiles: { production: page, mine: { ...page, issuer: own.issuer } } })
    expect(config.profiles.get('production')).toMatchObject({ ...page, requireState: true })
    expect(config.profiles.get('mine')).toMatchObject({ ...page, requireState: true, redirectPort: 8765 })
  })

  it('blames a misspelt default profile on what names it', async () => {
    await expect(load(undefined, { CADZERO_AUTH_PROFILE: 'prodution' })).rejects.toMatchObject({
      setting: 'CADZERO_AUTH_PROFILE',
      expected: 'one of local, staging, production',
      file: undefined,
    })
    await expect(load({ defaultProfile: 'mine' })).rejects.toMatchObject({ setting: 'defaultProfile' })
    const variables = { CADZERO_AUTH_PROFILE: 'mine', CADZERO_AUTH_ISSUER: own.issuer, CADZERO_AUTH_CLIENT_ID: 'c' }
    expect((await load(undefined, variables)).profiles.get('mine')).toMatchObject({ clientId: 'c' })
  })

  it('knows no OAuth without a refresh', async () => {
    await expect(load({ profiles: { mine: { ...own, refresh: false } } })).rejects.toMatchObject({
      setting: 'profiles.mine.refresh',
    })
  })

  it('takes the file over the built-in profile, and the environment over the file', async () => {
    const file = { profiles: { production: { ...own, redirectPort: 34338 } } }
    const config = await load(file, {
      CADZERO_AUTH_CLIENT_ID: 'client_2',
      CADZERO_AUTH_PORT: '50000',
      CADZERO_AUTH_SCOPES: 'openid email',
    })
    expect(config.port).toBe(50_000)
    expect(config.profiles.get('production')).toMatchObject({
      issuer: 'https://clerk.example.com',
      clientId: 'client_2',
      redirectPort: 34338,
      scopes: ['openid', 'email'],
    })
  })

  it('puts the environment over the profile that is the default, and no other', async () => {
    const config = await load(
      { profiles: { mine: own } },
      { CADZERO_AUTH_PROFILE: 'mine', CADZERO_AUTH_CLIENT_ID: 'client_3' },
    )
    expect(config.defaultProfile).toBe('mine')
    expect(config.profiles.get('mine')?.clientId).toBe('client_3')
    expect(config.profiles.get('production')?.clientId).toBeNull()
  })

  it('does not send people of one Clerk instance to the pages of another', async () => {
    const config = await load({ profiles: { production: own } })
    expect(config.profiles.get('production')).toMatchObject({ signInUrl: undefined, brokerUrl: undefined })
  })

  it('reads the issuer out of a publishable key', async () => {
    const publishableKey = `pk_test_${Buffer.from('clerk.example.com$').toString('base64')}`
    const config = await load({ profiles: { mine: { publishableKey } } })
    expect(config.profiles.get('mine')?.issuer).toBe('https://clerk.example.com')
  })

  it('takes an empty environment variable for one that is not set', async () => {
    expect((await load(undefined, { CADZERO_AUTH_PROFILE: '', CADZERO_AUTH_PORT: '' })).defaultProfile).toBe(
      'production',
    )
  })

  it('reads a file that begins with a byte order mark', async () => {
    expect(await load(`\uFEFF${JSON.stringify({ port: 50_000 })}`)).toMatchObject({ port: 50_000 })
  })

  it.each([
    ['{', 'the file', 'JSON'],
    ['[]', 'the file', 'object'],
    [{ defaultprofile: 'x' }, 'defaultprofile', 'left out: no such setting'],
    [{ profiles: [] }, 'profiles', 'object of profiles'],
    [{ profiles: [own] }, 'profiles', 'object of profiles'],
    [{ profiles: null }, 'profiles', 'object of profiles'],
    [{ port: 80 }, 'port', '1024'],
    [{ port: '8080' }, 'port', 'whole number'],
    [{ logLevel: 'loud' }, 'logLevel', 'debug'],
    [{ keyProtection: 'none' }, 'keyProtection', 'keyring'],
    [{ profiles: { 'Bad/Name': {} } }, 'profiles.Bad/Name', 'profile name'],
    ['{"profiles":{"constructor":{}}}', 'profiles.constructor', 'profile name'],
    [{ profiles: { mine: {} } }, 'profiles.mine.issuer', 'https'],
    [{ profiles: { mine: { ...own, issuer: 'http://clerk.example.com' } } }, 'profiles.mine.issuer', 'https'],
    [{ profiles: { mine: { ...own, issuer: 'https://a@clerk.example.com' } } }, 'profiles.mine.issuer', 'https'],
    [{ profiles: { mine: { ...own, issuer: 'javascript:alert(1)' } } }, 'profiles.mine.issuer', 'https'],
    [{ profiles: { mine: { ...own, signInUrl: 'file:///etc/passwd' } } }, 'profiles.mine.signInUrl', 'https'],
    [{ profiles: { mine: { ...own, clientID: 'x' } } }, 'profiles.mine.clientID', 'no such setting'],
    [{ profiles: { mine: { ...own, scopes: ['email'] } } }, 'profiles.mine.scopes', 'openid'],
    [
      { profiles: { mine: { ...own, publishableKey: 'pk_test_x' } } },
      'profiles.mine.publishableKey',
      'publishable key',
    ],
    [{ profiles: { mine: { ...own, requireState: 'yes' } } }, 'profiles.mine.requireState', 'true or false'],
  ])('names what is wrong in %j', async (content, setting, expected) => {
    const error = await load(content).catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'ConfigurationError', setting, expected: expect.stringContaining(expected) })
    expect(error).toHaveProperty('file', expect.stringMatching(/config\.json$/))
  })

  it.each([
    [{ CADZERO_AUTH_PORT: 'x' }, 'CADZERO_AUTH_PORT'],
    [{ CADZERO_AUTH_ISSUER: 'http://example.com' }, 'CADZERO_AUTH_ISSUER'],
    [{ CADZERO_AUTH_REDIRECT_PORT: '99999' }, 'CADZERO_AUTH_REDIRECT_PORT'],
    [{ CADZERO_AUTH_KEY_PROTECTION: 'x' }, 'CADZERO_AUTH_KEY_PROTECTION'],
  ])('names the variable that is wrong in %j', async (env, setting) => {
    await expect(load(undefined, env)).rejects.toMatchObject({ name: 'ConfigurationError', setting })
  })
})

describe('the folders', () => {
  it('are all below CADZERO_AUTH_HOME where that is set', () => {
    expect(locateFolders({ CADZERO_AUTH_HOME: '/home/ada/cz' })).toMatchObject({
      sessions: '/home/ada/cz/config/sessions',
      discoveryFile: '/home/ada/cz/data/endpoint.json',
      logFile: '/home/ada/cz/log/daemon.log',
    })
  })

  it('are never beside whatever folder the program was started in', () => {
    expect(() => locateFolders({ CADZERO_AUTH_HOME: 'cz' })).toThrow('absolute path')
  })

  it('have no suffix, so that other programs come to the same path', () => {
    const { data } = locateFolders({})
    expect(data).toContain('cadzero-auth')
    expect(data).not.toContain('-nodejs')
  })
})
