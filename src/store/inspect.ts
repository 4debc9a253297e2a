// What the doctor learns about the system keyring, with an entry of its own that it removes again.
import type { Clock } from '../host/clock.ts'
import { StoreError } from './errors.ts'
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
