// What the doctor learns about the system keyring, without creating or changing an entry.
import type { Clock } from '../host/clock.ts'
import { StoreError } from './errors.ts'
import { keyringAddonLoads, systemKeyring } from './keyring.ts'

export type KeyringState = 'responds' | 'locked' | 'unavailable' | 'addon_missing'

/** Reads an entry that does not exist: only whether the keyring responds is of interest. */
export async function inspectKeyring(clock: Clock): Promise<KeyringState> {
  try {
    await systemKeyring(clock, 'doctor').get()
    return 'responds'
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    if (error.code === 'key_locked') return 'locked'
    return (await keyringAddonLoads()) ? 'unavailable' : 'addon_missing'
  }
}
