// The keyring of the system: Windows Credential Manager, macOS Keychain, or the Secret Service on Linux.
import type { Clock } from '../host/clock.ts'
import { withTimeout } from '../host/timeout.ts'
import { StoreError } from './errors.ts'

/** One entry of the keyring. Every method throws StoreError `keyring_unavailable` or `key_locked` and nothing else. */
export interface Keyring {
  get(): Promise<string | undefined>
  set(text: string): Promise<void>
  /** @returns whether there was an entry to remove */
  remove(): Promise<boolean>
}

const SERVICE = 'cadzero-auth'
const STORE_KEY = 'store-key'

// The user may be typing a password into the keyring's own dialog. The caller does not wait for that: it gets
// `key_locked`, and the value at its next try.
const TIMEOUT_SECONDS = 15

export interface KeyringOptions {
  /** Names the entry; another name than the default is for a check whether the keyring responds at all. */
  readonly account?: string
  /** Changes how the keyring is asked. */
  readonly wrap?: (keyring: Keyring) => Keyring
}

export function systemKeyring(
  clock: Clock,
  { account = STORE_KEY, wrap = (keyring) => keyring }: KeyringOptions = {},
): Keyring {
  return limitedKeyring(wrap(patientKeyring(account)), clock)
}

/** Calls wait for as long as the keyring's own dialog is open. */
function patientKeyring(account: string): Keyring {
  return {
    get: () => withEntry(account, (entry) => entry.getPassword()),
    set: async (text) => void (await withEntry(account, (entry) => entry.setPassword(text))),
    remove: async () => (await withEntry(account, (entry) => entry.deletePassword())) === true,
  }
}

/** A call that takes too long fails. The next one waits for the same dialog, so that there is one at most. */
export function limitedKeyring(keyring: Keyring, clock: Clock): Keyring {
  let reading: Promise<string | undefined> | undefined
  const limited = <T>(call: Promise<T>) => withTimeout(clock, TIMEOUT_SECONDS, call, () => new StoreError('key_locked'))
  return {
    get() {
      reading ??= keyring.get().finally(() => {
        reading = undefined
      })
      return limited(reading)
    },
    set: (text) => limited(keyring.set(text)),
    remove: () => limited(keyring.remove()),
  }
}

/** Whether the native addon loads: it does not if it has no build for this system, or Windows lacks VCRUNTIME140.dll. */
export async function keyringAddonLoads(): Promise<boolean> {
  try {
    await import('@napi-rs/keyring')
    return true
  } catch {
    return false
  }
}

type Entry = import('@napi-rs/keyring').AsyncEntry

async function withEntry<T>(
  account: string,
  action: (entry: Entry) => Promise<T | null | undefined>,
): Promise<T | undefined> {
  const entry = await openEntry(account)
  try {
    return (await action(entry)) ?? undefined
  } catch (error) {
    throw new StoreError(isMissingService(error) ? 'keyring_unavailable' : 'key_locked')
  }
}

async function openEntry(account: string): Promise<Entry> {
  try {
    const { AsyncEntry } = await import('@napi-rs/keyring')
    // By default the addon falls back to the kernel's keyring without an error, and a reboot empties that.
    return new AsyncEntry(SERVICE, account, { linux: { store: 'secret-service' } })
  } catch {
    // The addon does not load on this system, or no Secret Service responds on D-Bus.
    throw new StoreError('keyring_unavailable')
  }
}

// The addon has one code for all its errors; only the message tells a missing service, or a service without a collection
// («no result found» when an entry is written), from a locked keyring.
function isMissingService(error: unknown): boolean {
  return error instanceof Error && /DBus|D-Bus|zbus|org\.freedesktop\.DBus|no result found/i.test(error.message)
}
