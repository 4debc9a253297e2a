// Reads the session on disk in a scenario's folder, with the daemon's own store.
import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/host/clock.ts'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { Binding } from '../../src/store/envelope.ts'
import { loadInstallation } from '../../src/store/installation.ts'
import { keyfileProvider } from '../../src/store/key.ts'
import { SessionStore } from '../../src/store/store.ts'
import { StoreKeys } from '../../src/store/store-keys.ts'

export const BINDING: Binding = {
  profile: 'production',
  issuer: 'https://clerk.example.com',
  clientId: 'client_1',
  broker: null,
}

/** The folders of the daemon in its home. */
export const foldersOf = (home: string) => ({
  data: join(home, 'data'),
  sessions: join(home, 'config', 'sessions'),
})

/** A new store, as after a start of the daemon. */
export function openStore(home: string, binding = BINDING): SessionStore {
  const { data, sessions } = foldersOf(home)
  const keys = new StoreKeys([keyfileProvider(systemFiles, join(data, 'store-key.jwk'), systemRandom)])
  const installation = () =>
    loadInstallation({ files: systemFiles, random: systemRandom, dataFolder: data, hostName: hostname() })
  return new SessionStore({ files: systemFiles, clock: systemClock, folder: sessions, keys, binding, installation })
}

export async function makeFolders(home: string): Promise<void> {
  for (const folder of Object.values(foldersOf(home))) await mkdir(folder, { recursive: true, mode: 0o700 })
}

/** The generation of the session on disk; 0 without a session. @throws StoreError */
export async function generationOf(home: string, binding = BINDING): Promise<number> {
  return (await openStore(home, binding).load())?.generation ?? 0
}
