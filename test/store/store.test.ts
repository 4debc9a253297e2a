// The session store on real files: what it keeps, what it refuses, and that it tells one from the other.
import { chmod, link, mkdir, readdir, readFile, rename, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { compactDecrypt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { type FileSystem, readPrivateFile, sweepTemporaries, systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { StoreError } from '../../src/store/errors.ts'
import { type KeyProvider, keyfileProvider, keyringProvider, passphraseProvider } from '../../src/store/key.ts'
import type { Keyring } from '../../src/store/keyring.ts'
import { SessionStore } from '../../src/store/store.ts'
import { StoreKeys } from '../../src/store/store-keys.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { newSession } from '../support/session.ts'

const binding = { profile: 'production', issuer: 'https://clerk.example.com', clientId: 'client_1' }

async function newStore(options: { files?: FileSystem; providers?: (home: string) => KeyProvider[] } = {}) {
  const home = await temporaryFolder()
  const files = options.files ?? systemFiles
  const folder = join(home, 'sessions')
  await mkdir(folder, { mode: 0o700 })
  const providers = options.providers ?? ((home) => [keyfileProvider(files, join(home, 'store-key.jwk'), systemRandom)])
  const open = (change: Partial<typeof binding> = {}, keys = new StoreKeys(providers(home))) =>
    new SessionStore({ files, clock: new TestClock(), folder, keys, binding: { ...binding, ...change } })
  return { home, folder, path: join(folder, 'production.jwe'), open }
}

/** A keyring in memory that can be taken away, locked or emptied. */
function testKeyring() {
  let text: string | undefined
  const ring = {
    state: 'open' as 'open' | 'locked' | 'unavailable',
    reads: 0,
    writes: 0,
    empty: () => (text = undefined),
  }
  const check = () => {
    if (ring.state === 'locked') throw new StoreError('key_locked')
    if (ring.state === 'unavailable') throw new StoreError('keyring_unavailable')
  }
  const keyring: Keyring = {
    async remove() {},
    async get() {
      ring.reads++
      check()
      return text
    },
    async set(value) {
      ring.writes++
      check()
      text = value
    },
  }
  return Object.assign(ring, { keyring })
}

describe('the session store', () => {
  it('gives back what it saved, also to the next process', async () => {
    const { open } = await newStore()
    const session = newSession()
    await open().save(session)
    expect(await open().load()).toEqual(session)
  })

  it('says that there is none where none was saved, and after it was removed', async () => {
    const { open, folder } = await newStore()
    const store = open()
    expect(await store.load()).toBeUndefined()
    await store.save(newSession())
    await store.remove()
    await store.remove()
    expect(await store.load()).toBeUndefined()
    expect(await readdir(folder)).toEqual([])
  })

  it('keeps nothing readable in the file', async () => {
    const { open, path } = await newStore()
    const session = newSession()
    await open().save(session)
    const text = await readFile(path, 'utf8')
    for (const secret of [session.refreshToken, session.accessToken.value, 'ada@example.com']) {
      expect(text).not.toContain(String(secret))
      for (const part of text.split('.')) {
        expect(Buffer.from(part, 'base64url').toString('latin1')).not.toContain(String(secret))
      }
    }
  })

  it('writes a compact JWE that says version, profile, issuer, client and key', async () => {
    const { open, path, home } = await newStore()
    const session = newSession()
    await open().save(session)
    const jwk = JSON.parse(await readFile(join(home, 'store-key.jwk'), 'utf8'))
    const envelope = await readFile(path, 'utf8')
    expect(decodeProtectedHeader(envelope)).toMatchObject({
      alg: 'dir',
      enc: 'A256GCM',
      version: 1,
      kid: jwk.kid,
      profile: 'production',
      iss: 'https://clerk.example.com',
      client_id: 'client_1',
    })
    const { plaintext } = await compactDecrypt(envelope, Buffer.from(jwk.k, 'base64url'))
    expect(JSON.parse(new TextDecoder().decode(plaintext))).toEqual(session)
  })

  it.skipIf(process.platform === 'win32')('gives no right to anybody else, under any umask', async () => {
    const before = process.umask()
    try {
      for (const mask of [0o000, 0o077, 0o777]) {
        process.umask(0o022)
        const { open, path, home } = await newStore()
        process.umask(mask)
        await open().save(newSession())
        process.umask(0o022)
        expect((await stat(path)).mode & 0o777).toBe(0o600)
        expect((await stat(join(home, 'store-key.jwk'))).mode & 0o777).toBe(0o600)
      }
    } finally {
      process.umask(before)
    }
  })

  it.each([
    ['empty', (path: string) => truncate(path, 0)],
    ['cut short', (path: string) => truncate(path, 200)],
    ['not a JWE', (path: string) => writeFile(path, 'hello')],
    ['five empty parts', (path: string) => writeFile(path, '....')],
    ['larger than a session can be', (path: string) => truncate(path, 1024 * 1024 + 1)],
  ])('sets a file aside that is %s, and goes on as signed out', async (_name, damage) => {
    const { open, folder, path } = await newStore()
    await open().save(newSession())
    await damage(path)
    expect(await open().load()).toBeUndefined()
    expect(await readdir(folder)).toEqual([expect.stringMatching(/^production\.jwe\.bad-\d+$/)])
  })

  it('purges what was set aside along with the session: it may still open', async () => {
    const { open, folder } = await newStore()
    await open().save(newSession())
    await open().setAside()
    await open().save(newSession())
    await open().purge()
    expect(await readdir(folder)).toEqual([])
  })

  it('opens a file with any one byte changed as no session at all', async () => {
    const { open, folder, path } = await newStore()
    await open().save(newSession())
    const good = await readFile(path)
    for (let at = 0; at < good.length; at += 7) {
      const bad = Buffer.from(good)
      bad[at] = bad[at] === 65 ? 66 : 65 // another base64url character
      await writeFile(path, bad, { mode: 0o600 })
      expect(await open().load(), `byte ${at}`).toBeUndefined()
    }
    expect((await readdir(folder)).length).toBeLessThanOrEqual(3)
  })

  it.each([
    ['profile', { profile: 'staging' }],
    ['issuer', { issuer: 'https://clerk.example.org' }],
    ['client', { clientId: 'client_2' }],
  ])('does not open the file of another %s', async (_name, change) => {
    const { open, folder, path } = await newStore()
    await open().save(newSession())
    if ('profile' in change) await rename(path, join(folder, 'staging.jwe'))
    expect(await open(change).load()).toBeUndefined()
  })

  it('does not read a file that is too large to be one', async () => {
    const { path, folder } = await newStore()
    await writeFile(path, '', { mode: 0o600 })
    await truncate(path, 2 ** 30) // a gigabyte that takes no room
    await expect(readPrivateFile(systemFiles, path, 1024)).rejects.toMatchObject({ code: 'too_large' })
    expect(await readdir(folder)).toEqual(['production.jwe'])
  })

  it('does not open the file of another user’s key, and keeps it aside', async () => {
    const one = await newStore()
    const other = await newStore()
    await one.open().save(newSession())
    await other.open().save(newSession())
    await writeFile(one.path, await readFile(other.path), { mode: 0o600 })
    expect(await one.open().load()).toBeUndefined()
    expect(await readdir(one.folder)).toEqual([expect.stringContaining('.bad-')])
  })

  it('leaves the file of a newer version alone, and says so', async () => {
    const { open, path } = await newStore()
    await open().save(newSession())
    const [, ...rest] = (await readFile(path, 'utf8')).split('.')
    const header = { ...decodeProtectedHeader(await readFile(path, 'utf8')), version: 2 }
    await writeFile(path, [Buffer.from(JSON.stringify(header)).toString('base64url'), ...rest].join('.'))
    await expect(open().load()).rejects.toMatchObject({ code: 'newer_version' })
    expect(await readFile(path, 'utf8')).toContain('.')
  })

  it.skipIf(process.platform === 'win32').each([
    ['open to others', (path: string) => chmod(path, 0o644)],
    [
      'a symbolic link',
      async (path: string) => {
        await rename(path, `${path}.real`)
        await symlink(`${path}.real`, path)
      },
    ],
    ['a hard link', (path: string) => link(path, `${path}.other`)],
  ])('refuses a file that is %s, and leaves it where it is', async (_name, change) => {
    const { open, path } = await newStore()
    await open().save(newSession())
    await change(path)
    await expect(open().load()).rejects.toMatchObject({ name: 'StoreError', code: 'unreadable' })
    await expect(stat(path)).resolves.toBeDefined()
  })

  it('keeps the old session whole when the disk is full at any step of a write', async () => {
    for (const step of ['open', 'writeFile', 'sync', 'rename'] as const) {
      let armed = false
      const fail = () => {
        if (armed) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      }
      const files: FileSystem = {
        ...systemFiles,
        open: async (...args) => {
          if (step === 'open') fail()
          const handle = await systemFiles.open(...args)
          return new Proxy(handle, {
            get(target, name) {
              if (name === step) fail()
              const value: unknown = Reflect.get(target, name)
              return typeof value === 'function' ? value.bind(target) : value
            },
          })
        },
        rename: async (...args) => {
          if (step === 'rename') fail()
          return await systemFiles.rename(...args)
        },
      }
      const { open, folder } = await newStore({ files })
      const store = open()
      const old = newSession()
      await store.save(old)
      armed = true
      await expect(store.save(newSession({ generation: 2 })), step).rejects.toMatchObject({ code: 'disk_full' })
      armed = false
      expect(await open().load(), step).toEqual(old)
      expect(await readdir(folder), step).toEqual(['production.jwe'])
    }
  })

  it('sweeps what a crash in the middle of a write has left, and nothing else', async () => {
    const { open, folder } = await newStore()
    await open().save(newSession())
    await writeFile(join(folder, '.production.jwe.0123456789abcdef.tmp'), 'half')
    await writeFile(join(folder, 'notes.tmp'), 'a person’s own')
    await sweepTemporaries(systemFiles, folder)
    expect((await readdir(folder)).sort()).toEqual(['notes.tmp', 'production.jwe'])
  })

  it('is not kept from a start by leftovers on a disk that has become read-only', async () => {
    const { folder } = await newStore()
    await writeFile(join(folder, '.production.jwe.0123456789abcdef.tmp'), 'half')
    const readOnly: FileSystem = {
      ...systemFiles,
      unlink: () => Promise.reject(Object.assign(new Error('read-only'), { code: 'EROFS' })),
    }
    await expect(sweepTemporaries(readOnly, folder)).resolves.toBeUndefined()
  })
})

describe('the store key', () => {
  const both = (ring: ReturnType<typeof testKeyring>) => (home: string) => [
    keyringProvider(ring.keyring, systemRandom),
    keyfileProvider(systemFiles, join(home, 'store-key.jwk'), systemRandom),
  ]

  it('is made once in the keyring, and read once a start', async () => {
    const ring = testKeyring()
    const { open, home } = await newStore({ providers: both(ring) })
    const store = open()
    await store.save(newSession())
    await store.save(newSession())
    expect(await store.protection()).toBe('keyring')
    expect({ reads: ring.reads, writes: ring.writes }).toEqual({ reads: 1, writes: 1 })
    expect(await readdir(home)).toEqual(['sessions'])
    const next = open()
    await next.load()
    await next.save(newSession())
    expect({ reads: ring.reads, writes: ring.writes }).toEqual({ reads: 2, writes: 1 })
  })

  it('is kept in a file where there is no keyring', async () => {
    const ring = testKeyring()
    ring.state = 'unavailable'
    const { open } = await newStore({ providers: both(ring) })
    const session = newSession()
    await open().save(session)
    expect(await open().protection()).toBe('keyfile')
    ring.state = 'open'
    expect(await open().load()).toEqual(session)
  })

  it.each(['locked', 'unavailable'] as const)(
    'that is in a keyring now %s means locked, not signed out',
    async (state) => {
      const ring = testKeyring()
      const { open, folder } = await newStore({ providers: both(ring) })
      const session = newSession()
      await open().save(session)
      ring.state = state
      const store = open()
      await expect(store.load()).rejects.toMatchObject({ code: 'key_locked' })
      expect(await readdir(folder)).toEqual(['production.jwe'])
      ring.state = 'open'
      expect(await store.load()).toEqual(session)
    },
  )

  it('that is gone from the keyring means missing, and the file stays', async () => {
    const ring = testKeyring()
    const { open, folder } = await newStore({ providers: both(ring) })
    await open().save(newSession())
    ring.empty()
    await expect(open().load()).rejects.toMatchObject({ code: 'key_missing' })
    expect(await readdir(folder)).toEqual(['production.jwe'])
  })

  it('is not put into a file because the keyring is locked', async () => {
    const ring = testKeyring()
    ring.state = 'locked'
    const { open, home } = await newStore({ providers: both(ring) })
    await expect(open().save(newSession())).rejects.toMatchObject({ code: 'key_locked' })
    expect(await readdir(home)).toEqual(['sessions'])
  })

  it('opens with its passphrase and no other', async () => {
    const wrapped = (passphrase: string | undefined) => (home: string) => [
      passphraseProvider(systemFiles, join(home, 'store-key.jwe'), systemRandom, passphrase),
    ]
    const { open, home, folder } = await newStore({ providers: wrapped('correct horse') })
    const session = newSession()
    await open().save(session)
    expect(await open().load()).toEqual(session)
    for (const passphrase of ['wrong horse', '', undefined]) {
      const keys = new StoreKeys(wrapped(passphrase)(home))
      await expect(open({}, keys).load()).rejects.toMatchObject({ code: 'wrong_passphrase' })
    }
    expect(await readdir(folder)).toEqual(['production.jwe'])
  })

  it('that is damaged in its file is an error that does not quote it', async () => {
    const { open, home } = await newStore()
    await open().save(newSession())
    await writeFile(join(home, 'store-key.jwk'), '{"kty":"oct","k":"c2VjcmV0"', { mode: 0o600 })
    const error = await open()
      .load()
      .catch((error: unknown) => error)
    expect(error).toBeInstanceOf(StoreError)
    expect(String(error)).not.toContain('c2VjcmV0')
  })
})
