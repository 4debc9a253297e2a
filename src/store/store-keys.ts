// Finds the key of a session file among the places where it can be, and the key that new files are sealed with.
import { StoreError } from './errors.ts'
import type { KeyProtection, KeyProvider, StoreKey } from './key.ts'

export interface CurrentKey {
  readonly key: StoreKey
  readonly protection: KeyProtection
}

/** The file was sealed with a key that is not ours, and ours are all known. */
export class ForeignKeyError extends Error {
  constructor() {
    super('sealed with another key')
    this.name = 'ForeignKeyError'
  }
}

export class StoreKeys {
  readonly #providers: readonly KeyProvider[]
  // One read a start: every read of a macOS keychain may ask the person.
  readonly #known = new Map<KeyProvider, StoreKey | undefined>()
  #choosing: Promise<CurrentKey> | undefined

  /** @param providers in order of preference */
  constructor(providers: readonly KeyProvider[]) {
    this.#providers = providers
  }

  /**
   * The key with this id.
   * @throws ForeignKeyError; StoreError `key_missing` where no key is left at all, `key_locked` where it may be behind a
   * keyring that does not answer.
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
    // A keyring that is not there today had the key when the file was written.
    if (failed?.code === 'keyring_unavailable') throw new StoreError('key_locked')
    if (failed) throw failed
    throw others > 0 ? new ForeignKeyError() : new StoreError('key_missing')
  }

  /**
   * The key for new files: the first there is, else a new one in the first place that can keep it.
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
    // Only where there is no keyring at all may a file stand in for it; a locked one is to be unlocked.
    const maker = failed && failed.code !== 'keyring_unavailable' ? undefined : usable[0]
    if (!maker) throw failed ?? new StoreError('unreadable')
    const key = await maker.create()
    this.#known.set(maker, key)
    return { key, protection: maker.protection }
  }

  async #read(provider: KeyProvider): Promise<StoreKey | undefined> {
    if (!this.#known.has(provider)) this.#known.set(provider, await provider.read())
    return this.#known.get(provider)
  }
}
