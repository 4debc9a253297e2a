// Two installations that share a session folder: neither overwrites, deletes or hides what the other one keeps there.
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { readHeader } from '../../src/store/envelope.ts'
import { StoreError } from '../../src/store/errors.ts'
import { loadInstallation } from '../../src/store/installation.ts'
import { SessionStore } from '../../src/store/store.ts'
import { newAuthenticator } from '../support/authenticator.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'
import { newSession } from '../support/session.ts'
import { binding, newStore, ownInstallation } from '../support/store.ts'

const other = { id: 'other-installation-000', place: 'laptop:/home/ada/snap/data' }
const OTHER = { name: 'StoreError', code: 'other_installation' }

describe('the id of an installation', () => {
  const options = (dataFolder: string) => ({
    files: systemFiles,
    random: systemRandom,
    dataFolder,
    hostName: 'laptop',
  })

  it('is created once, and differs between data folders', async () => {
    const [one, two] = [await temporaryFolder(), await temporaryFolder()]
    const first = await loadInstallation(options(one))
    expect(first.id).toMatch(/^[\w-]{22}$/)
    expect(first.place).toBe(`laptop:${one}`)
    expect(await loadInstallation(options(one))).toEqual(first)
    expect((await loadInstallation(options(two))).id).not.toBe(first.id)
  })

  it.skipIf(isWindows)(`is private${needs('file modes')}`, async () => {
    const folder = await temporaryFolder()
    await loadInstallation(options(folder))
    expect((await systemFiles.stat(join(folder, 'installation.json'))).mode & 0o777).toBe(0o600)
  })

  it.each(['', '{"id":"short"}', 'null'])('is created again if its file holds %j', async (text) => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'installation.json'), text, { mode: 0o600 })
    const { id } = await loadInstallation(options(folder))
    expect(id).toMatch(/^[\w-]{22}$/)
    expect(await loadInstallation(options(folder))).toMatchObject({ id })
  })

  it('may be lost: a session of this very place is adopted with its key, and only with it', async () => {
    const { open, home } = await newStore()
    const session = newSession()
    await open().save(session)
    const renewed = { ...ownInstallation, id: 'created-again-00000000' }
    expect(await open({}, undefined, undefined, renewed).load()).toEqual(session)
    await rm(join(home, 'store-key.jwk'))
    await open().protection() // another key
    const error = await open({}, undefined, undefined, renewed)
      .load()
      .catch((error: unknown) => error)
    expect(error).toMatchObject(OTHER)
    expect(String(error)).toContain(
      'If its data folder was deleted or replaced, run cadzero-auth login --take-over to sign in here',
    )
  })
})

describe('a session of another installation', () => {
  async function shared() {
    const { open, folder, path, home } = await newStore()
    const session = newSession()
    await open({}, undefined, undefined, other).save(session)
    const before = await readFile(path, 'utf8')
    const isUntouched = async () => {
      expect(await readdir(folder)).toEqual(['production.jwe'])
      expect(await readFile(path, 'utf8')).toBe(before)
    }
    return { store: open(), session, open, folder, path, home, isUntouched }
  }

  it('is neither loaded nor set aside, although the key would open it, and both places are named', async () => {
    const { store, path, isUntouched } = await shared()
    const error = await store.load().catch((error: unknown) => error)
    expect(error).toMatchObject(OTHER)
    for (const text of [path, other.place, ownInstallation.place]) expect(String(error)).toContain(text)
    await isUntouched()
  })

  it.each(['save', 'remove', 'purge', 'checkFile', 'requireOwnFile'] as const)('stays as it is at %s', async (name) => {
    const { store, session, isUntouched } = await shared()
    await expect(name === 'save' ? store.save(session) : store[name]()).rejects.toMatchObject(OTHER)
    await isUntouched()
  })

  it('stays if it appears while a new file is being written', async () => {
    let isAppearing = false
    const files: FileSystem = {
      ...systemFiles,
      open: async (...args) => {
        const handle = await systemFiles.open(...args)
        if (!isAppearing && /production\.jwe\..*tmp$/.test(String(args[0]))) {
          isAppearing = true
          await open({}, undefined, undefined, other).save(newSession())
        }
        return handle
      },
    }
    const { open, path, folder } = await newStore({ files })
    await expect(open().save(newSession())).rejects.toMatchObject(OTHER)
    expect(readHeader(await readFile(path, 'utf8')).installation).toBe(other.id)
    expect(await readdir(folder)).toEqual(['production.jwe'])
  })

  it('is kept under another name, which no purge deletes, if a person wants to sign in here', async () => {
    const { store, session, folder, path, open } = await shared()
    const before = await readFile(path, 'utf8')
    await store.setAsideOther()
    await store.save(session)
    expect(await store.load()).toEqual(session)
    await store.purge()
    const [name, ...rest] = await readdir(folder)
    expect(rest).toEqual([])
    expect(name).toMatch(/^production\.jwe\.other-\d+$/)
    expect(await readFile(join(folder, String(name)), 'utf8')).toBe(before)
    expect(await open().load()).toBeUndefined()
  })

  it('whose file is damaged is set aside if its key is ours: a damaged id proves nothing', async () => {
    const { open, path, folder } = await newStore()
    await open().save(newSession())
    const [header = '', ...rest] = (await readFile(path, 'utf8')).split('.')
    const changed = Buffer.from(header, 'base64url').toString().replace(ownInstallation.id, other.id)
    await writeFile(path, [Buffer.from(changed).toString('base64url'), ...rest].join('.'))
    expect(await open().load()).toBeUndefined()
    expect(await readdir(folder)).toEqual([expect.stringContaining('.bad-')])
  })

  it('shows no control character of its place', async () => {
    const { open } = await newStore()
    await open({}, undefined, undefined, { ...other, place: 'a\u001b[31mb\u202ec' }).save(newSession())
    await expect(open().load()).rejects.toMatchObject({ message: expect.stringContaining('a?[31mb?c') })
  })

  it('appears while the daemon runs: the own session serves from memory and the file stays', async () => {
    const { authenticator, provider, clock, openStore, folder } = await newAuthenticator({ saved: newSession() })
    await authenticator.load()
    await rm(join(folder, 'test.jwe'))
    await openStore(other).save(newSession({ user: { id: 'user_9', email: null, name: null } }))
    const before = await readFile(join(folder, 'test.jwe'), 'utf8')
    await expect(authenticator.refresh()).rejects.toMatchObject(OTHER)
    expect(provider.refreshed).toHaveLength(0)
    clock.advance(61) // expired: the refresh token is sent, and its successor stays in memory
    expect(await authenticator.authHeader()).toMatchObject({ headers: { Authorization: 'Bearer token-1' } })
    clock.advance(61)
    await authenticator.settled()
    expect(await authenticator.authHeader()).toMatchObject({ headers: { Authorization: 'Bearer token-2' } })
    expect(authenticator.status()).toMatchObject({
      state: 'signed_in',
      store: { persisted: false },
      refresh: { lastError: 'other_installation' },
    })
    await expect(authenticator.logout()).rejects.toMatchObject(OTHER)
    expect(provider.revoked.map(({ refreshToken }) => refreshToken)).toEqual(['refresh-2']) // the own one
    expect(await readFile(join(folder, 'test.jwe'), 'utf8')).toBe(before)
  })

  it('opens no browser, and is replaced only by a sign-in that says so', async () => {
    const { authenticator, openStore, opened, provider, comeBack, folder } = await newAuthenticator()
    await openStore(other).save(newSession())
    await expect(authenticator.authHeader()).rejects.toMatchObject(OTHER)
    const login = { openBrowser: true, wait: false, timeoutSeconds: 300 }
    await expect(authenticator.login(login)).rejects.toMatchObject(OTHER)
    expect(opened).toEqual([])
    await authenticator.login({ ...login, takeOver: true })
    expect(await readdir(folder)).toEqual(['test.jwe']) // renamed only when the person has signed in
    await comeBack()
    expect(authenticator.status()).toMatchObject({ state: 'signed_in', store: { persisted: true } })
    expect((await readdir(folder)).sort()).toEqual(['test.jwe', expect.stringMatching(/^test\.jwe\.other-/)])
    expect(provider.revoked).toEqual([])
  })

  it('that appears during a sign-in is replaced by a later one that says so', async () => {
    const { authenticator, openStore, comeBack, folder } = await newAuthenticator()
    const login = { openBrowser: false, wait: false, timeoutSeconds: 300 }
    await authenticator.login(login)
    await openStore(other).save(newSession())
    await authenticator.login({ ...login, takeOver: true })
    await authenticator.login(login) // joins it
    await comeBack()
    expect(authenticator.status()).toMatchObject({ state: 'signed_in', store: { persisted: true } })
    expect((await readdir(folder)).sort()).toEqual(['test.jwe', expect.stringMatching(/^test\.jwe\.other-/)])
  })

  it('that appears while signed out is noticed before a person is asked', async () => {
    const { authenticator, openStore, opened } = await newAuthenticator()
    await authenticator.load()
    await openStore(other).save(newSession())
    const login = authenticator.login({ openBrowser: true, wait: true, timeoutSeconds: 300 })
    await expect(login).rejects.toMatchObject(OTHER)
    expect(opened).toEqual([])
  })
})

describe('the file of another installation', () => {
  it('stays at a logout, although others may read it as after a synchronisation', async () => {
    const { authenticator, openStore, folder } = await newAuthenticator()
    await openStore(other).save(newSession())
    await chmod(join(folder, 'test.jwe'), 0o644)
    await authenticator.logout().catch(() => undefined)
    expect(await readdir(folder)).toEqual(['test.jwe'])
  })

  it('stays at a save, although others may read it as after a synchronisation', async () => {
    const { open, path } = await newStore()
    await open({}, undefined, undefined, other).save(newSession())
    await chmod(path, 0o644)
    const before = await readFile(path, 'utf8')
    await open()
      .save(newSession())
      .catch(() => undefined)
    expect(await readFile(path, 'utf8')).toBe(before)
  })

  it('stays as it is while the own id cannot be read', async () => {
    const { open, folder } = await newStore()
    await open({}, undefined, undefined, other).save(newSession())
    const store = new SessionStore({
      files: systemFiles,
      clock: new TestClock(),
      folder,
      keys: undefined as never,
      binding,
      installation: () => Promise.reject(new StoreError('unreadable')),
    })
    await store.checkFile().catch(() => undefined)
    expect(await readdir(folder)).toEqual(['production.jwe'])
  })

  it('stays as it is if it appears while a person signs in because a key is gone', async () => {
    const { authenticator, folder, openStore, comeBack } = await newAuthenticator({ saved: newSession() })
    await rm(join(folder, '..', 'store-key.jwk'))
    await authenticator.login({ openBrowser: false, wait: false, timeoutSeconds: 300 })
    await rm(join(folder, 'test.jwe'))
    await openStore(other).save(newSession())
    const before = await readFile(join(folder, 'test.jwe'), 'utf8')
    await comeBack()
    expect(await readFile(join(folder, 'test.jwe'), 'utf8')).toBe(before)
  })

  it('does not keep a logout from deleting the own files that were set aside', async () => {
    const { authenticator, openStore, folder } = await newAuthenticator()
    await openStore(other).save(newSession())
    await writeFile(join(folder, 'test.jwe.bad-1'), 'own', { mode: 0o600 })
    await authenticator.logout().catch(() => undefined)
    expect(await readdir(folder)).toEqual(['test.jwe'])
  })
})

describe('a session of version 1.0, which has no id', () => {
  /** Takes the id out of an envelope's header, as 1.0 wrote it: sealed again, since the header is authenticated. */
  async function version1(path: string, home: string) {
    const { CompactEncrypt, compactDecrypt } = await import('jose')
    const { k } = JSON.parse(await readFile(join(home, 'store-key.jwk'), 'utf8')) as { k: string }
    const key = Buffer.from(k, 'base64url')
    const { plaintext, protectedHeader } = await compactDecrypt(await readFile(path, 'utf8'), key)
    const { installation: _, installation_place: __, ...header } = protectedHeader
    await writeFile(path, await new CompactEncrypt(plaintext).setProtectedHeader(header).encrypt(key))
  }

  it('is adopted by the installation that has its key, with its id at the next save', async () => {
    const { open, path, home } = await newStore()
    const session = newSession()
    await open().save(session)
    await version1(path, home)
    const store = open()
    expect(await store.load()).toEqual(session)
    await store.save(session)
    expect(readHeader(await readFile(path, 'utf8'))).toMatchObject({ installation: ownInstallation.id })
  })

  it('is left alone if its key is another one: it may belong to another installation', async () => {
    const { open, path, home, folder } = await newStore()
    await open().save(newSession())
    await version1(path, home)
    await rm(join(home, 'store-key.jwk'))
    await mkdir(join(home, 'elsewhere'))
    await open().protection() // a new key
    await expect(open().load()).rejects.toMatchObject(OTHER)
    expect(await readdir(folder)).toEqual(['production.jwe'])
  })
})

describe('a logout', () => {
  it('deletes the own file although it cannot be read any more', async () => {
    let isShut = false
    const files: FileSystem = {
      ...systemFiles,
      open: async (path, ...rest) => {
        const isSession = String(path).endsWith('test.jwe')
        if (isShut && isSession) throw Object.assign(new Error('shut'), { code: 'EACCES' })
        return await systemFiles.open(path, ...rest)
      },
    }
    const { authenticator, folder } = await newAuthenticator({ saved: newSession(), files })
    await authenticator.load()
    isShut = true
    await authenticator.logout()
    expect(await readdir(folder)).toEqual([])
  })

  it('that cannot delete a file that was never read signs no one out: each call still says why', async () => {
    const { authenticator, openStore } = await newAuthenticator()
    await openStore(other).save(newSession())
    await expect(authenticator.logout()).rejects.toMatchObject(OTHER)
    await expect(authenticator.authHeader(10, false)).rejects.toMatchObject(OTHER)
  })
})
