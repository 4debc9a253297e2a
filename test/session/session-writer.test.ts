// What is on disk before and after a refresh: the mark before it is sent, and no file that is overwritten blindly.
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SessionEndedError, UnavailableError } from '../../src/clerk/errors.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { newAuthenticator } from '../support/authenticator.ts'
import { isWindows, needs } from '../support/posix.ts'
import { newSession } from '../support/session.ts'

const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } })
const saved = newSession({
  generation: 5,
  accessToken: { value: 'saved', receivedAt: 1_800_000_000, lifetime: 60 },
  refreshToken: 'refresh-0',
})

async function signedIn(options: { saved?: typeof saved; files?: FileSystem } = {}) {
  const all = await newAuthenticator({ saved, ...options })
  await all.authenticator.load()
  const path = join(all.folder, 'test.jwe')
  /** The session file as another program would have written it. */
  const restore = async (change: Partial<typeof saved>) => all.openStore().save({ ...saved, ...change })
  return { ...all, path, restore, names: async () => (await readdir(all.folder)).sort() }
}

describe('a refresh under way', () => {
  it('is marked on disk before it is sent, and the mark is gone after it has succeeded', async () => {
    const { authenticator, provider, openStore } = await signedIn()
    let during: unknown
    provider.script = [
      async () => {
        during = await openStore().load()
        return { accessToken: { value: 'next', receivedAt: 1_800_000_000, lifetime: 60 }, refreshToken: 'refresh-1' }
      },
    ]
    await authenticator.refresh()
    expect(during).toEqual({ ...saved, refreshing: true })
    expect(await openStore().load()).toMatchObject({ generation: 6, refreshToken: 'refresh-1' })
    expect(await openStore().load()).not.toHaveProperty('refreshing')
  })

  it('notifies clients once, not of the mark', async () => {
    const { authenticator, changes } = await signedIn()
    const before = changes.length
    await authenticator.refresh()
    expect(changes.length - before).toBe(1)
  })

  it('is marked once, not at each attempt', async () => {
    let writes = 0
    const files: FileSystem = {
      ...systemFiles,
      rename: (...args) => {
        writes++
        return systemFiles.rename(...args)
      },
    }
    const { authenticator, provider, clock } = await signedIn({ files })
    provider.script = Array.from({ length: 5 }, () => () => Promise.reject(new UnavailableError('network')))
    writes = 0
    for (let n = 0; n < 5; n++) {
      await expect(authenticator.refresh()).rejects.toMatchObject({ reason: 'network' })
      clock.advance(60)
    }
    expect({ writes, refreshed: provider.refreshed.length }).toEqual({ writes: 1, refreshed: 5 })
  })

  it('is retried once with the old token after a restart, if its answer was lost', async () => {
    const { authenticator, provider, clock, logged } = await signedIn({ saved: { ...saved, refreshing: true } })
    expect(logged).toContain('refresh_interrupted')
    expect(await authenticator.authHeader()).toMatchObject(bearer('saved'))
    await authenticator.settled()
    expect(provider.refreshed.map(({ refreshToken }) => refreshToken)).toEqual(['refresh-0'])
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    clock.advance(20)
    await authenticator.authHeader()
    expect(provider.refreshed).toHaveLength(1)
  })

  it('is retried for the first caller after a restart, although the file is still being read', async () => {
    const { authenticator, provider } = await newAuthenticator({ saved: { ...saved, refreshing: true } })
    expect(await authenticator.authHeader()).toMatchObject(bearer('saved'))
    await authenticator.settled()
    expect(provider.refreshed).toHaveLength(1)
  })

  it('sends nothing after a restart until a caller asks', async () => {
    const { authenticator, provider, clock } = await signedIn({ saved: { ...saved, refreshing: true } })
    clock.advance(86_400)
    await authenticator.settled()
    expect(provider.refreshed).toHaveLength(0)
  })

  it('costs one sign-in and no loop if a strict provider lost the answer', async () => {
    const { authenticator, provider, clock, opened, openStore } = await signedIn({
      saved: { ...saved, refreshing: true },
    })
    const strict = () => Promise.reject(new SessionEndedError('session_revoked'))
    provider.script = [strict, strict, strict]
    clock.advance(61)
    const failure = { name: 'InteractionRequiredError', reason: 'session_revoked' }
    for (let n = 0; n < 3; n++) {
      await expect(authenticator.authHeader(10, false)).rejects.toMatchObject(failure)
      clock.advance(600)
    }
    expect(provider.refreshed).toHaveLength(1)
    expect(await openStore().load()).toBeUndefined()
    expect(opened).toEqual([])
  })

  it('keeps the session if the answer is cut off, and retries after the pause', async () => {
    const { authenticator, provider, clock, openStore } = await signedIn()
    provider.script = [() => Promise.reject(new UnavailableError('network'))]
    await expect(authenticator.refresh()).rejects.toMatchObject({ reason: 'network' })
    expect(await openStore().load()).toEqual({ ...saved, refreshing: true })
    await expect(authenticator.refresh()).rejects.toMatchObject({ reason: 'network' })
    expect(provider.refreshed).toHaveLength(1)
    clock.advance(1)
    expect(await authenticator.refresh()).toMatchObject(bearer('token-1'))
  })

  it('leaves no mark on disk after a logout', async () => {
    const { authenticator, names } = await signedIn({ saved: { ...saved, refreshing: true } })
    await authenticator.logout()
    expect(await names()).toEqual([])
  })
})

describe('a session file that changed while the daemon runs', () => {
  it('is adopted if it is newer, and the spent token is not sent', async () => {
    const { authenticator, provider, restore, openStore } = await signedIn()
    const accessToken = { value: 'theirs', receivedAt: 1_800_000_001, lifetime: 60 }
    await restore({ generation: 9, refreshToken: 'refresh-9', accessToken })
    expect(await authenticator.refresh()).toMatchObject(bearer('theirs'))
    expect(provider.refreshed).toHaveLength(0)
    expect(await authenticator.refresh()).toMatchObject(bearer('token-1'))
    expect(provider.refreshed.map(({ refreshToken }) => refreshToken)).toEqual(['refresh-9'])
    expect(await openStore().load()).toMatchObject({ generation: 10 })
  })

  it('is refreshed with its own refresh token if it is newer but its token has expired', async () => {
    const { authenticator, provider, restore, clock } = await signedIn()
    const accessToken = { value: 'theirs', receivedAt: 1_800_000_001, lifetime: 60 }
    await restore({ generation: 9, refreshToken: 'refresh-9', accessToken })
    clock.advance(120)
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    expect(provider.refreshed.map(({ refreshToken }) => refreshToken)).toEqual(['refresh-9'])
  })

  it('is adopted if another daemon saved it while the provider rejected our token', async () => {
    const { authenticator, provider, restore, clock, openStore } = await signedIn()
    clock.advance(61)
    const accessToken = { value: 'theirs', receivedAt: 1_800_000_061, lifetime: 60 }
    provider.script = [
      async () => {
        await restore({ generation: 9, refreshToken: 'refresh-9', accessToken })
        throw new SessionEndedError('session_revoked')
      },
    ]
    expect(await authenticator.authHeader()).toMatchObject(bearer('theirs'))
    expect(await openStore().load()).toMatchObject({ generation: 9 })
    expect(provider.refreshed).toHaveLength(1)
  })

  it('is written again before a token is sent, if it was rolled back', async () => {
    const { authenticator, provider, path, openStore } = await signedIn()
    await copyFile(path, `${path}.backup`)
    await authenticator.refresh()
    await rename(`${path}.backup`, path)
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-0' })
    await authenticator.refresh()
    expect(provider.refreshed.map(({ refreshToken }) => refreshToken)).toEqual(['refresh-0', 'refresh-1'])
    expect(await openStore().load()).toMatchObject({ generation: 7, refreshToken: 'refresh-2' })
  })

  it('is not adopted if it holds an earlier sign-in, although its generation is higher', async () => {
    const { authenticator, provider, restore } = await signedIn()
    const accessToken = { value: 'old', receivedAt: 1_700_000_000, lifetime: 1e9 }
    await restore({ generation: 5000, refreshToken: 'long-spent', accessToken })
    expect(await authenticator.refresh()).toMatchObject(bearer('token-1'))
    expect(provider.refreshed.map(({ refreshToken }) => refreshToken)).toEqual(['refresh-0'])
  })

  it('is set aside if it belongs to another person', async () => {
    const { authenticator, restore, names, openStore } = await signedIn()
    const accessToken = { value: 'theirs', receivedAt: 1_800_000_001, lifetime: 60 }
    await restore({ generation: 9, user: { id: 'user_9', email: null, name: null }, accessToken })
    expect(await authenticator.refresh()).toMatchObject(bearer('token-1'))
    expect(authenticator.status().user).toMatchObject({ id: saved.user.id })
    expect(await openStore().load()).toMatchObject({ user: { id: saved.user.id } })
    expect(await names()).toEqual(['test.jwe', expect.stringMatching(/^test\.jwe\.bad-/)])
  })

  it.for([
    ['garbage', (path: string) => writeFile(path, 'gone')],
    ['empty', (path: string) => writeFile(path, '')],
    ['cut short', async (path: string) => writeFile(path, (await readFile(path, 'utf8')).slice(0, -9))],
    ['a giant', (path: string) => writeFile(path, Buffer.alloc(2 ** 20 + 1))],
    [
      `a link${needs('symbolic links')}`,
      async (path: string) => {
        await rename(path, `${path}.elsewhere`)
        await symlink(`${path}.elsewhere`, path)
      },
    ],
    [
      'a folder',
      async (path: string) => {
        await rm(path)
        await mkdir(path)
      },
    ],
  ] as const)('is set aside if it is %s now, and the session is saved again', async ([name, damage], { skip }) => {
    skip(isWindows && name.startsWith('a link'))
    const { authenticator, provider, path, names, openStore } = await signedIn()
    await damage(path)
    expect(await authenticator.refresh()).toMatchObject(bearer('token-1'))
    expect(provider.refreshed.map(({ refreshToken }) => refreshToken)).toEqual(['refresh-0'])
    expect(await openStore().load()).toMatchObject({ generation: 6 })
    expect(authenticator.status()).toMatchObject({ store: { persisted: true }, refresh: { lastError: null } })
    expect((await names()).filter((name) => name.includes('.bad-'))).toHaveLength(1)
  })

  it.skipIf(isWindows)(
    `is replaced by a private file if other users can read it now${needs('file modes')}`,
    async () => {
      const { authenticator, path, names } = await signedIn()
      await chmod(path, 0o644)
      await authenticator.refresh()
      expect((await systemFiles.stat(path)).mode & 0o777).toBe(0o600)
      expect(await names()).toEqual(['test.jwe'])
    },
  )

  it('signs the user out locally if it was deleted, revokes nothing, and is not written again', async () => {
    const { authenticator, provider, path, names, clock } = await signedIn()
    await rm(path)
    clock.advance(49)
    expect(await authenticator.authHeader()).toMatchObject(bearer('saved'))
    await authenticator.settled()
    await expect(authenticator.authHeader(10, false)).rejects.toMatchObject({ reason: 'signed_out' })
    expect(provider.refreshed).toHaveLength(0)
    expect(provider.revoked).toEqual([])
    expect(await names()).toEqual([])
    expect(authenticator.status()).toMatchObject({ state: 'signed_out', user: null })
  })

  it('is written again as soon as its folder is back, and the session serves from memory until then', async () => {
    const { authenticator, provider, folder, clock, openStore } = await signedIn()
    await rename(folder, `${folder}.away`)
    clock.advance(49)
    await authenticator.authHeader()
    await authenticator.settled()
    expect(await authenticator.authHeader()).toMatchObject(bearer('saved'))
    const trouble = { state: 'signed_in', store: { persisted: false }, refresh: { lastError: 'unreadable' } }
    expect(authenticator.status()).toMatchObject(trouble)
    expect(provider.refreshed).toHaveLength(0)
    clock.advance(12) // dead now: it is spent all the same
    expect(await authenticator.authHeader()).toMatchObject(bearer('token-1'))
    expect(authenticator.status()).toMatchObject(trouble)
    await rename(`${folder}.away`, folder)
    clock.advance(20)
    await authenticator.settled()
    expect(await openStore().load()).toMatchObject({ generation: 6, refreshToken: 'refresh-1' })
    expect(authenticator.status()).toMatchObject({ store: { persisted: true }, refresh: { lastError: null } })
  })
})

describe('a session that could not be saved', () => {
  const failing = () => {
    const disk = { full: false, writes: 0 }
    const files: FileSystem = {
      ...systemFiles,
      rename: async (...args) => {
        disk.writes++
        if (disk.full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
        return await systemFiles.rename(...args)
      },
    }
    return { disk, files }
  }

  const unsaved = async () => {
    const { disk, files } = failing()
    const all = await signedIn({ files })
    disk.full = true
    all.clock.advance(61)
    expect(await all.authenticator.authHeader()).toMatchObject(bearer('token-1'))
    return { ...all, disk }
  }

  it('is saved once there is room again, without a call', async () => {
    const { authenticator, clock, disk, openStore, provider } = await unsaved()
    expect(authenticator.status()).toMatchObject({ store: { persisted: false }, refresh: { lastError: 'disk_full' } })
    for (let n = 0; n < 5; n++) {
      clock.advance(60)
      await authenticator.settled()
    }
    disk.full = false
    clock.advance(60)
    await authenticator.settled()
    expect(await openStore().load()).toMatchObject({ generation: 6, refreshToken: 'refresh-1' })
    expect(authenticator.status()).toMatchObject({ store: { persisted: true }, refresh: { lastError: null } })
    expect(provider.refreshed).toHaveLength(1)
  })

  it('is not written more than once a minute while the disk is full', async () => {
    const { authenticator, clock, disk } = await unsaved()
    disk.writes = 0
    for (let n = 0; n < 3600; n++) {
      clock.advance(1)
      await authenticator.settled()
    }
    expect(disk.writes).toBeLessThanOrEqual(65)
    expect(disk.writes).toBeGreaterThan(55)
  })

  it('does not count as deleted if it never reached the disk', async () => {
    const { disk, files } = failing()
    disk.full = true
    const { authenticator, clock, comeBack, openStore } = await newAuthenticator({ files })
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    await comeBack()
    expect(authenticator.status()).toMatchObject({ state: 'signed_in', store: { persisted: false } })
    clock.advance(61)
    expect(await authenticator.authHeader(10, false)).toMatchObject(bearer('token-2'))
    expect(await openStore().load()).toBeUndefined()
    disk.full = false
    expect(await authenticator.refresh()).toMatchObject(bearer('token-3'))
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-3' })
  })

  it('is saved at the stop of the daemon if that is possible', async () => {
    const { authenticator, disk, openStore } = await unsaved()
    disk.full = false
    authenticator.stop()
    await authenticator.settled()
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-1' })
  })

  it('is not written over a newer session that was saved in the meantime', async () => {
    const { authenticator, disk, clock, restore } = await unsaved()
    disk.full = false
    const accessToken = { value: 'theirs', receivedAt: 1_800_000_062, lifetime: 60 }
    await restore({ generation: 9, refreshToken: 'refresh-9', accessToken })
    clock.advance(5)
    await authenticator.settled()
    expect(await authenticator.authHeader()).toMatchObject(bearer('theirs'))
  })
})
