// The session store on real files: what it returns, what it sets aside, and what it refuses to read.
import { chmod, link, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { compactDecrypt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { isWindows, needs } from '../support/posix.ts'
import { newSession } from '../support/session.ts'
import { newStore } from '../support/store.ts'

describe('SessionStore', () => {
  it('loads what was saved, also in a new process', async () => {
    const { open } = await newStore()
    const session = newSession()
    await open().save(session)
    expect(await open().load()).toEqual(session)
  })

  it('loads undefined if no session was saved, and after it was removed', async () => {
    const { open, folder } = await newStore()
    const store = open()
    expect(await store.load()).toBeUndefined()
    await store.save(newSession())
    await store.remove()
    await store.remove()
    expect(await store.load()).toBeUndefined()
    expect(await readdir(folder)).toEqual([])
  })

  it('seals the file with its profile, issuer and client and the id of the store key', async () => {
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

  it.skipIf(isWindows)(
    `writes files without permissions for others, under any umask${needs('file modes and links of POSIX')}`,
    async () => {
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
    },
  )

  it.each([
    ['empty', (path: string) => truncate(path, 0)],
    ['cut short', (path: string) => truncate(path, 200)],
    ['not a JWE', (path: string) => writeFile(path, 'hello')],
    ['five empty parts', (path: string) => writeFile(path, '....')],
    ['larger than a session can be', (path: string) => truncate(path, 1024 * 1024 + 1)],
  ])('[E4] sets aside a file that is %s, and loads undefined', async (_name, damage) => {
    const { open, folder, path } = await newStore()
    await open().save(newSession())
    await damage(path)
    expect(await open().load()).toBeUndefined()
    expect(await readdir(folder)).toEqual([expect.stringMatching(/^production\.jwe\.bad-\d+$/)])
  })

  it('purges the session and the files that were set aside', async () => {
    const { open, folder } = await newStore()
    await open().save(newSession())
    await open().setAside()
    await open().save(newSession())
    await open().purge()
    expect(await readdir(folder)).toEqual([])
  })

  it('[D8] loads undefined from a file with one byte changed', async () => {
    const { open, folder, path } = await newStore()
    await open().save(newSession())
    const good = await readFile(path)
    const DOT = 46
    for (let at = 0; at < good.length; at += 7) {
      if (at + 1 === good.length || good[at + 1] === DOT) continue // it may carry unused bits, which decode to the same bytes
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
  ])('[D8] does not load the file of another %s', async (_name, change) => {
    const { open, folder, path } = await newStore()
    await open().save(newSession())
    if ('profile' in change) await rename(path, join(folder, 'staging.jwe'))
    expect(await open(change).load()).toBeUndefined()
  })

  it('[D8 E4] does not load a file that another user’s key has sealed, and sets it aside', async () => {
    const one = await newStore()
    const other = await newStore()
    await one.open().save(newSession())
    await other.open().save(newSession())
    await writeFile(one.path, await readFile(other.path), { mode: 0o600 })
    expect(await one.open().load()).toBeUndefined()
    expect(await readdir(one.folder)).toEqual([expect.stringContaining('.bad-')])
  })

  it('throws newer_version for a file of a newer version, and leaves it', async () => {
    const { open, path } = await newStore()
    await open().save(newSession())
    const [, ...rest] = (await readFile(path, 'utf8')).split('.')
    const header = { ...decodeProtectedHeader(await readFile(path, 'utf8')), version: 2 }
    await writeFile(path, [Buffer.from(JSON.stringify(header)).toString('base64url'), ...rest].join('.'))
    await expect(open().load()).rejects.toMatchObject({ code: 'newer_version' })
    expect(await readFile(path, 'utf8')).toContain('.')
  })

  it.skipIf(isWindows).each([
    ['accessible to others', (path: string) => chmod(path, 0o644)],
    [
      'a symbolic link',
      async (path: string) => {
        await rename(path, `${path}.real`)
        await symlink(`${path}.real`, path)
      },
    ],
    ['a hard link', (path: string) => link(path, `${path}.other`)],
  ])(
    `[B7] refuses a file that is %s, and leaves it${needs('file modes and links of POSIX')}`,
    async (_name, change) => {
      const { open, path } = await newStore()
      await open().save(newSession())
      await change(path)
      await expect(open().load()).rejects.toMatchObject({ name: 'StoreError', code: 'unreadable' })
      await expect(stat(path)).resolves.toBeDefined()
    },
  )

  it('keeps the old session whole if the disk is full at any step of a write', async () => {
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
})

describe('SessionStore.checkFile', () => {
  it('returns same after a load or a save, and nothing is set aside', async () => {
    const { open, folder } = await newStore()
    const store = open()
    await store.save(newSession())
    expect(await store.checkFile()).toBe('same')
    const next = open()
    await next.load()
    expect(await next.checkFile()).toBe('same')
    expect(await readdir(folder)).toEqual(['production.jwe'])
  })

  it('returns gone if the file was deleted', async () => {
    const { open, path } = await newStore()
    const store = open()
    await store.save(newSession())
    await rm(path)
    expect(await store.checkFile()).toBe('gone')
  })

  it('throws unreadable if the folder is missing: its disk is gone, and the file was not deleted', async () => {
    const { open, folder } = await newStore()
    const store = open()
    await store.save(newSession())
    await rename(folder, `${folder}.gone`)
    await expect(store.checkFile()).rejects.toMatchObject({ name: 'StoreError', code: 'unreadable' })
  })

  it('returns the session of a file that another process has saved', async () => {
    const { open } = await newStore()
    const store = open()
    await store.save(newSession())
    const newer = newSession({ generation: 7 })
    await open().save(newer)
    expect(await store.checkFile()).toEqual(newer)
  })

  it.each([
    ['is no envelope', (path: string) => writeFile(path, 'hello')],
    ['is too large', (path: string) => truncate(path, 1024 * 1024 + 1)],
    ['is a hard link', (path: string) => link(path, join(dirname(path), 'other-name'))],
  ])('returns foreign for a file that %s, and sets it aside', async (_name, change) => {
    const { open, folder, path } = await newStore()
    const store = open()
    await store.save(newSession())
    await change(path)
    expect(await store.checkFile()).toBe('foreign')
    expect(await readdir(folder)).toContainEqual(expect.stringMatching(/^production\.jwe\.bad-\d+$/))
    expect(await readdir(folder)).not.toContain('production.jwe')
  })

  it('returns foreign for the file of another client, and sets it aside', async () => {
    const { open, folder } = await newStore()
    const store = open()
    await store.save(newSession())
    await open({ clientId: 'client_2' }).save(newSession())
    expect(await store.checkFile()).toBe('foreign')
    expect(await readdir(folder)).toEqual([expect.stringContaining('.bad-')])
  })

  it.skipIf(isWindows)(
    `returns foreign for a file that others may read, and leaves it${needs('file modes and links of POSIX')}`,
    async () => {
      const { open, folder, path } = await newStore()
      const store = open()
      await store.save(newSession())
      await chmod(path, 0o644)
      expect(await store.checkFile()).toBe('foreign')
      expect(await readdir(folder)).toEqual(['production.jwe'])
    },
  )
})

it('SessionStore.setAside keeps the newest three files', async () => {
  const { open, folder } = await newStore()
  await writeFile(join(folder, 'other.jwe.bad-1'), 'of another profile')
  const sessions = [1, 2, 3, 4, 5].map((generation) => newSession({ generation }))
  for (const [at, session] of sessions.entries()) {
    await open().save(session)
    await open({}, undefined, 1_800_000_000 + at).setAside()
  }
  expect((await readdir(folder)).sort()).toEqual([
    'other.jwe.bad-1',
    'production.jwe.bad-1800000002000',
    'production.jwe.bad-1800000003000',
    'production.jwe.bad-1800000004000',
  ])
})
