// The store key: which provider keeps it, when it is made, and what happens if it cannot be read.
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { StoreError } from '../../src/store/errors.ts'
import { keyfileProvider, keyringProvider, passphraseProvider } from '../../src/store/key.ts'
import { StoreKeys } from '../../src/store/store-keys.ts'
import { newSession } from '../support/session.ts'
import { memoryKeyring, newStore } from '../support/store.ts'

describe('a store key in a keyring or a file', () => {
  /** The providers of `keyProtection: auto`. */
  const both = (ring: ReturnType<typeof memoryKeyring>) => (home: string) => [
    keyringProvider(ring.keyring, systemRandom),
    keyfileProvider(systemFiles, join(home, 'store-key.jwk'), systemRandom),
  ]

  it('[E1] is made once in the keyring, and is read once per start', async () => {
    const ring = memoryKeyring()
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

  it('is made in a file if there is no keyring, and is found there when there is one', async () => {
    const ring = memoryKeyring()
    ring.state = 'unavailable'
    const { open } = await newStore({ providers: both(ring) })
    const session = newSession()
    await open().save(session)
    expect(await open().protection()).toBe('keyfile')
    ring.state = 'open'
    expect(await open().load()).toEqual(session)
  })

  it.each(['locked', 'unavailable'] as const)(
    '[E3] is reported as key_locked if its keyring is %s, and the session file stays',
    async (state) => {
      const ring = memoryKeyring()
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

  it('[E3] is reported as key_missing if its keyring entry was deleted, and the session file stays', async () => {
    const ring = memoryKeyring()
    const { open, folder } = await newStore({ providers: both(ring) })
    await open().save(newSession())
    ring.empty()
    await expect(open().load()).rejects.toMatchObject({ code: 'key_missing' })
    expect(await readdir(folder)).toEqual(['production.jwe'])
  })

  it('is not made in a file if the keyring is locked', async () => {
    const ring = memoryKeyring()
    ring.state = 'locked'
    const { open, home } = await newStore({ providers: both(ring) })
    await expect(open().save(newSession())).rejects.toMatchObject({ code: 'key_locked' })
    expect(await readdir(home)).toEqual(['sessions'])
  })

  it.each([
    ['is cut short', '{"kty":"oct","k":"c2VjcmV0"'],
    ['holds another kind of key', '{"kty":"RSA","kid":"1","k":"c2VjcmV0"}'],
    ['holds a key of another size', '{"kty":"oct","kid":"1","k":"c2VjcmV0"}'],
    ['holds a key without an id', '{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MDA"}'],
  ])('is reported as unreadable if its file %s, without a quote of the file', async (_name, text) => {
    const { open, home } = await newStore()
    await open().save(newSession())
    await writeFile(join(home, 'store-key.jwk'), text, { mode: 0o600 })
    const error = await open()
      .load()
      .catch((error: unknown) => error)
    expect(error).toBeInstanceOf(StoreError)
    expect(error).toMatchObject({ code: 'unreadable' })
    expect(String(error)).not.toContain('c2VjcmV0')
    expect((error as Error).cause).toBeUndefined()
  })
})

describe('a store key under a passphrase', () => {
  const wrapped = (passphrase: string | undefined) => (home: string) => [
    passphraseProvider(systemFiles, join(home, 'store-key.jwe'), systemRandom, passphrase),
  ]

  it('opens with its passphrase and with no other', async () => {
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
})
