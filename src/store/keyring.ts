// The system's keyring: Windows Credential Manager, macOS Keychain, Secret Service on Linux.
import type { Clock } from '../host/clock.ts'
import { StoreError } from './errors.ts'

/** One entry of the keyring. All calls throw StoreError `keyring_unavailable` or `key_locked` and nothing else. */
export interface Keyring {
  get(): Promise<string | undefined>
  set(text: string): Promise<void>
  /** Harmless where there is none. */
  remove(): Promise<void>
}

const SERVICE = 'cadzero-auth'
const STORE_KEY = 'store-key'

// A person may be typing a password into the keyring's own dialog; a caller should not wait for that, so it is told
// `key_locked` meanwhile and finds the answer at its next try.
const ANSWER_SECONDS = 15

/** @param account which entry; another than the store key's is for asking whether the keyring answers at all */
export function systemKeyring(clock: Clock, account = STORE_KEY): Keyring {
  let reading: Promise<string | undefined> | undefined
  return {
    get() {
      reading ??= ask(account, (entry) => entry.getPassword()).finally(() => {
        reading = undefined
      })
      return withDeadline(clock, reading)
    },
    set: (text) =>
      withDeadline(
        clock,
        ask(account, (entry) => entry.setPassword(text)),
      ),
    async remove() {
      await withDeadline(
        clock,
        ask(account, (entry) => entry.deletePassword()),
      )
    },
  }
}

/** Whether the addon that speaks to it loads at all: not where there is no build of it, or Windows has no VCRUNTIME140.dll. */
export async function keyringAddonLoads(): Promise<boolean> {
  try {
    await import('@napi-rs/keyring')
    return true
  } catch {
    return false
  }
}

type Entry = import('@napi-rs/keyring').AsyncEntry

async function ask<T>(
  account: string,
  question: (entry: Entry) => Promise<T | null | undefined>,
): Promise<T | undefined> {
  const entry = await openEntry(account)
  try {
    return (await question(entry)) ?? undefined
  } catch (error) {
    throw new StoreError(isNoService(error) ? 'keyring_unavailable' : 'key_locked')
  }
}

async function openEntry(account: string): Promise<Entry> {
  try {
    const { AsyncEntry } = await import('@napi-rs/keyring')
    // Unpinned it would take the kernel's keyring without a word, which a reboot empties.
    return new AsyncEntry(SERVICE, account, { linux: { store: 'secret-service' } })
  } catch {
    // The addon does not load on this system, or nobody answers on D-Bus.
    throw new StoreError('keyring_unavailable')
  }
}

// The addon has one code for all its errors; only the text tells "no such service" from "locked".
function isNoService(error: unknown): boolean {
  return error instanceof Error && /DBus|D-Bus|zbus|org\.freedesktop\.DBus/i.test(error.message)
}

function withDeadline<T>(clock: Clock, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ANSWER_SECONDS, () => reject(new StoreError('key_locked')))
    answer.finally(cancel).then(resolve, reject)
  })
}
