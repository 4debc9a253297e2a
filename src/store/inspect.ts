// What commands learn about the key: the doctor about the system keyring, with an entry of its own that it removes again, and an update
// whether the next daemon can read it.
import type { Clock } from '../host/clock.ts'
import type { FileSystem } from '../host/files.ts'
import type { Random } from '../host/random.ts'
import { StoreError } from './errors.ts'
import { type KeyProtection, keyringProvider, passphraseProvider } from './key.ts'
import { keyringAddonLoads, systemKeyring } from './keyring.ts'

export type KeyringState = 'responds' | 'locked' | 'unavailable' | 'addon_missing'

/** Writes, reads and removes an entry: a keyring may answer reads and still refuse to save. */
export async function inspectKeyring(clock: Clock): Promise<KeyringState> {
  const entry = systemKeyring(clock, { account: 'doctor' })
  try {
    await entry.set('doctor')
    const isKept = (await entry.get()) === 'doctor'
    await entry.remove()
    return isKept ? 'responds' : 'unavailable'
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    if (error.code === 'key_locked') return 'locked'
    return (await keyringAddonLoads()) ? 'unavailable' : 'addon_missing'
  }
}

export interface KeyAccess {
  readonly files: FileSystem
  readonly clock: Clock
  readonly random: Random
  /** The path of `store-key.jwe`. */
  readonly wrappedKeyFile: string
  readonly passphrase: string | undefined
}

/** Tries what a daemon needs to read the key of a session: the keyring, or the passphrase. @throws StoreError if it could not */
export async function requireReadableKey(protection: KeyProtection, access: KeyAccess): Promise<void> {
  const { files, clock, random, wrappedKeyFile, passphrase } = access
  if (protection === 'keyring' && (await keyringProvider(systemKeyring(clock), random).read()) === undefined)
    throw new StoreError('key_missing') // it is in another keyring
  if (protection === 'passphrase') await passphraseProvider(files, wrappedKeyFile, random, passphrase).read()
}
