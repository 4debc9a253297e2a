// Finds the key of a session file among the key providers, and chooses the key for new files.
import { StoreError } from './errors.ts'
import type { KeyProtection, KeyProvider, StoreKey } from './key.ts'

export interface CurrentKey {
  readonly key: StoreKey
  readonly protection: KeyProtection
}

/** The file was sealed with a key that none of the providers has, and all of them could be read. */
export class ForeignKeyError extends Error {
  constructor() {
    super('sealed with another key')
    this.name = 'ForeignKeyError'
  }
}

export class StoreKeys {
  readonly #providers: readonly KeyProvider[]
  // One read a start: each read of a macOS keychain may show a dialog.
  readonly #cache = new Map<KeyProvider, StoreKey | undefined>()
  #choosing: Promise<CurrentKey> | undefined

  /** @param providers in order of preference */
  constructor(providers: readonly KeyProvider[]) {
    this.#providers = providers
  }

  /**
   * The key with this id.
   * @throws ForeignKeyError; StoreError `key_missing` if no provider has a key, `key_locked` if the key may be in a keyring
   * that does not respond
   */
  async find(id: unknown): Promise<StoreKey> {
    let failed: StoreError | undefined
    let others = 0
    for (const provider of this.#providers) {
      try {
        const key = await this.#read(provider)
        if (key?.id === id) return key as StoreKey
        if (key) others++
      } catch (error) {
        failed ??= error as StoreError
      }
    }
    // The keyring is not available now, but it may have been when the file was written.
    if (failed?.code === 'keyring_unavailable') throw new StoreError('key_locked')
    if (failed) throw failed
    throw others > 0 ? new ForeignKeyError() : new StoreError('key_missing')
  }

  /**
   * The key for new files: the first existing one, or a new one from the first provider that can save it.
   * @throws StoreError
   */
  current(): Promise<CurrentKey> {
    this.#choosing ??= this.#choose().finally(() => {
      this.#choosing = undefined
    })
    return this.#choosing
  }

  async #choose(): Promise<CurrentKey> {
    const usable: KeyProvider[] = []
    let failed: StoreError | undefined
    for (const provider of this.#providers) {
      try {
        const key = await this.#read(provider)
        if (key) return { key, protection: provider.protection }
        usable.push(provider)
      } catch (error) {
        failed ??= error as StoreError
      }
    }
    // A key file replaces the keyring only if the system has none. A locked keyring must be unlocked.
    if (failed && failed.code !== 'keyring_unavailable') throw failed
    for (const provider of usable) {
      try {
        const key = await provider.create()
        this.#cache.set(provider, key)
        return { key, protection: provider.protection }
      } catch (error) {
        // A Secret Service without a collection answers reads, and refuses to save: it is no keyring.
        if (!(error instanceof StoreError && error.code === 'keyring_unavailable')) throw error
        failed = error
      }
    }
    throw failed ?? new StoreError('unreadable')
  }

  async #read(provider: KeyProvider): Promise<StoreKey | undefined> {
    if (!this.#cache.has(provider)) this.#cache.set(provider, await provider.read())
    return this.#cache.get(provider)
  }
}
