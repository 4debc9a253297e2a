// Keeps the session of one profile on disk, encrypted and durable. Tells "absent" from "cannot be read now".
//
// Invariants:
// - A file that may still be of use is never overwritten: it is set aside first.
// - A session or a key that cannot be read now (locked keyring, broken disk) is a StoreError, never "signed out".
import type { Clock } from '../host/clock.ts'
import type { FileSystem } from '../host/files.ts'
import { type Binding, ENVELOPE_VERSION, readHeader, seal, unseal } from './envelope.ts'
import { StoreError, storeErrorOf } from './errors.ts'
import type { KeyProtection } from './key.ts'
import type { Session } from './session.ts'
import { SessionFile } from './session-file.ts'
import type { StoreKeys } from './store-keys.ts'

export interface SessionStoreOptions {
  readonly files: FileSystem
  readonly clock: Clock
  /** The folder of session files. It exists and is private. */
  readonly folder: string
  readonly keys: StoreKeys
  readonly binding: Binding
}

/**
 * The session file compared with what this store last read or wrote: unchanged (`same`), deleted (`gone`), replaced by a
 * file that does not open (`foreign`), or replaced by another session of this profile.
 */
export type FileCheck = 'same' | 'gone' | 'foreign' | Session

export class SessionStore {
  readonly #keys: StoreKeys
  readonly #binding: Binding
  readonly #file: SessionFile
  /** The text last read or written. It is compared whole: it is small, and timestamps and sizes can be wrong. */
  #lastText: string | undefined

  constructor({ files, clock, folder, keys, binding }: SessionStoreOptions) {
    this.#keys = keys
    this.#binding = binding
    this.#file = new SessionFile({ files, clock, folder, profile: binding.profile })
  }

  /**
   * The saved session, or undefined if there is none. A file that can never open (damaged, or of another profile,
   * issuer, client or key) is set aside and counts as none.
   * @throws StoreError if the file or its key cannot be read now; the file is left untouched
   */
  async load(): Promise<Session | undefined> {
    const content = await this.#file.read()
    if (content.kind === 'absent') return undefined
    if (content.kind === 'refused') {
      if (content.error.code !== 'too_large') throw storeErrorOf(content.error)
      await this.setAside()
      return undefined
    }
    try {
      const session = await this.#open(content.text)
      this.#lastText = content.text
      return session
    } catch (error) {
      if (error instanceof StoreError) throw error
      await this.setAside()
      return undefined
    }
  }

  /**
   * Compares the file with what this store last read or wrote: a backup may have been restored over it, or the user may
   * have deleted it. A file that does not open is set aside, since the user may want it back.
   * @throws StoreError if the comparison is not possible now, or the whole folder is gone; nothing is changed then
   */
  async checkFile(): Promise<FileCheck> {
    const content = await this.#file.read()
    switch (content.kind) {
      case 'absent':
        await this.#file.checkFolder()
        return 'gone'
      case 'refused':
        // A file that others may read is the user's all the same: the next save replaces it by a private one.
        if (content.error.code !== 'too_open') await this.setAside()
        return 'foreign'
      case 'text':
        if (content.text === this.#lastText) return 'same'
        try {
          return await this.#open(content.text)
        } catch {
          await this.setAside()
          return 'foreign'
        }
    }
  }

  /**
   * Writes the session. It survives a crash from the moment this resolves.
   * @throws StoreError; the previous file is then still there, whole
   */
  async save(session: Session): Promise<void> {
    const { key } = await this.#keys.current()
    const envelope = await seal(session, key, this.#binding)
    await this.#file.write(envelope)
    this.#lastText = envelope
  }

  /** Deletes the saved session, if there is one. @throws StoreError */
  async remove(): Promise<void> {
    await this.#file.remove()
  }

  /** Deletes the saved session and the files that were set aside, since those may still open. @throws StoreError */
  async purge(): Promise<void> {
    await this.#file.remove()
    await this.#file.removeSetAside()
  }

  /**
   * Renames the session file, if there is one, so that a new one does not overwrite it. The newest three are kept.
   * @throws StoreError
   */
  async setAside(): Promise<void> {
    await this.#file.setAside()
  }

  /** How the store key is protected. Makes the key if there is none. @throws StoreError if the key cannot be used */
  async protection(): Promise<KeyProtection> {
    return (await this.#keys.current()).protection
  }

  /** @throws StoreError if it may open another time; another error if it never will */
  async #open(envelope: string): Promise<Session> {
    const { keyId, version } = readHeader(envelope)
    if (typeof version === 'number' && version > ENVELOPE_VERSION) throw new StoreError('newer_version')
    return await unseal(envelope, await this.#keys.find(keyId), this.#binding)
  }
}
