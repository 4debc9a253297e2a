// Loading the configuration: which source overrides which, and how a profile is found.
import { execFileSync } from 'node:child_process'
import { chown, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findProfile, loadConfig } from '../../src/config/config.ts'
import { systemFiles } from '../../src/host/files.ts'
import { loadContent } from '../support/config.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

const ISSUER = 'https://clerk.example.com'
const oauth = { issuer: ISSUER, clientId: 'client_1' }

test('has the built-in profiles and defaults if there is no file', async () => {
  const config = await loadContent(undefined)
  expect(config).toMatchObject({ defaultProfile: 'production', port: 0, logLevel: 'info', keyProtection: 'auto' })
  expect([...config.profiles.keys()]).toEqual(['local', 'staging', 'production'])
})

test('reads a file that begins with a byte order mark', async () => {
  expect(await loadContent(`\uFEFF${JSON.stringify({ port: 50_000 })}`)).toMatchObject({ port: 50_000 })
})

test('the file overrides the built-in profile, and the environment overrides the file', async () => {
  const file = { profiles: { production: { ...oauth, redirectPort: 34_338 } } }
  const config = await loadContent(file, {
    CADZERO_AUTH_CLIENT_ID: 'client_2',
    CADZERO_AUTH_PORT: '50000',
    CADZERO_AUTH_SCOPES: 'openid email',
  })
  expect(config.port).toBe(50_000)
  expect(config.profiles.get('production')).toMatchObject({
    issuer: ISSUER,
    clientId: 'client_2',
    redirectPort: 34_338,
    scopes: ['openid', 'email'],
  })
})

test('the environment overrides the default profile and no other', async () => {
  const variables = { CADZERO_AUTH_PROFILE: 'mine', CADZERO_AUTH_CLIENT_ID: 'client_3' }
  const config = await loadContent({ profiles: { mine: oauth } }, variables)
  expect(config.defaultProfile).toBe('mine')
  expect(config.profiles.get('mine')).toMatchObject({ kind: 'oauth', clientId: 'client_3' })
  expect(config.profiles.get('production')).toMatchObject({ kind: 'handoff' })
})

test('the environment alone can define the default profile', async () => {
  const variables = { CADZERO_AUTH_PROFILE: 'mine', CADZERO_AUTH_ISSUER: ISSUER, CADZERO_AUTH_CLIENT_ID: 'c' }
  expect((await loadContent(undefined, variables)).profiles.get('mine')).toMatchObject({ clientId: 'c' })
})

test('an unknown default profile is blamed on the variable or setting that names it', async () => {
  await expect(loadContent(undefined, { CADZERO_AUTH_PROFILE: 'prodution' })).rejects.toMatchObject({
    setting: 'CADZERO_AUTH_PROFILE',
    expected: 'one of local, staging, production',
    file: undefined,
  })
  await expect(loadContent({ defaultProfile: 'mine' })).rejects.toMatchObject({
    setting: 'defaultProfile',
    file: expect.stringMatching(/config\.json$/),
  })
})

test('finds a profile by its name, or the default one', async () => {
  const config = await loadContent({ profiles: { mine: oauth } })
  expect(findProfile(config, 'mine')).toMatchObject({ name: 'mine', ...oauth })
  expect(findProfile(config)).toMatchObject({ name: 'production' })
})

test('raises a configuration error when an unknown profile is asked for', async () => {
  const config = await loadContent({ profiles: { mine: oauth } })
  expect(() => findProfile(config, 'other')).toThrow(
    expect.objectContaining({ setting: 'profile', expected: 'one of local, staging, production, mine' }),
  )
})

test('a profile without a sign-in method raises its error only when it is asked for', async () => {
  const config = await loadContent({ profiles: { mine: oauth, bare: { issuer: ISSUER } } })
  expect(findProfile(config, 'mine')).toMatchObject({ clientId: 'client_1' })
  expect(() => findProfile(config, 'bare')).toThrow(
    expect.objectContaining({ name: 'ConfigurationError', setting: 'profiles.bare.signInUrl' }),
  )
})

test.skipIf(isWindows)(`follows a link of the user’s own to the file${needs('symbolic links')}`, async () => {
  const folder = await temporaryFolder()
  await writeFile(join(folder, 'dotfile'), JSON.stringify({ port: 50_000 }))
  await symlink('dotfile', join(folder, 'config.json'))
  expect(await loadConfig(systemFiles, join(folder, 'config.json'), {})).toMatchObject({ port: 50_000 })
})

test.skipIf(isWindows)(
  `blames a link that leads nowhere, a pipe and a file that is too large${needs('symbolic links')}`,
  async () => {
    const path = join(await temporaryFolder(), 'config.json')
    const problem = async () => await loadConfig(systemFiles, path, {}).then(String, ({ message }) => message)
    await symlink('absent', path)
    expect(await problem()).toBe(`${path}: the file: a file; it is a link that leads nowhere`)
    await rm(path)
    execFileSync('mkfifo', [path])
    expect(await problem()).toBe(`${path}: the file: a regular file, not a pipe, a folder or a device`)
    await rm(path)
    await writeFile(path, '')
    await truncate(path, 2 ** 30)
    expect(await problem()).toBe(`${path}: the file: smaller than a megabyte`)
  },
)

test.skipIf(process.getuid?.() !== 0)('blames a file of another user, without reading it (needs root)', async () => {
  const path = join(await temporaryFolder(), 'config.json')
  await writeFile(path, JSON.stringify({ port: 50_000 }))
  await chown(path, 23456, 23456)
  await expect(loadConfig(systemFiles, path, {})).rejects.toMatchObject({
    name: 'ConfigurationError',
    setting: 'the file',
    expected: 'a file of your own; it belongs to another user',
  })
})
