// A session store in a temporary folder, and a keyring in memory.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { Binding } from '../../src/store/envelope.ts'
import { StoreError } from '../../src/store/errors.ts'
import { type KeyProvider, keyfileProvider } from '../../src/store/key.ts'
import type { Keyring } from '../../src/store/keyring.ts'
import { SessionStore } from '../../src/store/store.ts'
import { StoreKeys } from '../../src/store/store-keys.ts'
import { TestClock } from './clock.ts'
import { temporaryFolder } from './folder.ts'

export const binding: Binding = {
  profile: 'production',
  issuer: 'https://clerk.example.com',
  clientId: 'client_1',
  broker: null,
}

/** The installation that every store of a test belongs to unless it says otherwise. */
export const ownInstallation = { id: 'own-installation-00000', place: 'computer:/data' }

export interface StoreOptions {
  readonly files?: FileSystem
  /** Makes the key providers of a start; a key file by default. */
  readonly providers?: (home: string) => KeyProvider[]
}

/** The folder of a store. `open` opens the store as a new process would. */
export async function newStore({ files = systemFiles, providers }: StoreOptions = {}) {
  const home = await temporaryFolder()
  const folder = join(home, 'sessions')
  await mkdir(folder, { mode: 0o700 })
  const newKeys = () =>
    new StoreKeys(providers?.(home) ?? [keyfileProvider(files, join(home, 'store-key.jwk'), systemRandom)])
  const open = (change: Partial<Binding> = {}, keys = newKeys(), now?: number, installation = ownInstallation) =>
    new SessionStore({
      files,
      clock: new TestClock(now),
      folder,
      keys,
      binding: { ...binding, ...change },
      installation: async () => installation,
    })
  return { home, folder, path: join(folder, 'production.jwe'), open }
}

/** A keyring in memory that a test can lock, make unavailable or empty. */
export function memoryKeyring() {
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
    remove: async () => text !== undefined,
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
