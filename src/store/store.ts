// Keeps the session of one profile on disk, encrypted and durable. Tells "absent" from "cannot be read now".
//
// Invariants:
// - A file that may still be of use is never overwritten: it is set aside first.
// - The file of another installation is never overwritten, set aside or deleted without the explicit wish of a person.
// - A session is given to the broker that it belongs to, and to no other: with another one configured, the file stays as it is.
// - A session or a key that cannot be read now (locked keyring, broken disk) is a StoreError, never "signed out".
import type { Clock } from '../host/clock.ts'
import type { FileSystem } from '../host/files.ts'
import { type Binding, ENVELOPE_VERSION, opens, readHeader, seal, unseal } from './envelope.ts'
import { OtherBrokerError, StoreError, storeErrorOf } from './errors.ts'
import type { Installation } from './installation.ts'
import type { KeyProtection, StoreKey } from './key.ts'
import type { Session } from './session.ts'
import { SessionFile } from './session-file.ts'
import { ForeignKeyError, type StoreKeys } from './store-keys.ts'

const LONGEST_PLACE = 512 // characters

export interface SessionStoreOptions {
  readonly files: FileSystem
  readonly clock: Clock
  /** The folder of session files. It exists and is private. */
  readonly folder: string
  readonly keys: StoreKeys
  readonly binding: Binding
  /** @throws StoreError */
  readonly installation: () => Promise<Installation>
}

/**
 * The session file compared with what this store last read or wrote: unchanged (`same`), deleted (`gone`), replaced by a
 * file that does not open (`foreign`), or replaced by another session of this profile.
 */
export type FileCheck = 'same' | 'gone' | 'foreign' | Session

export class SessionStore {
  readonly #keys: StoreKeys
  readonly #binding: Binding
  readonly #installation: () => Promise<Installation>
  readonly #file: SessionFile
  /** The text last read or written. It is compared whole: it is small, and timestamps and sizes can be wrong. */
  #lastText: string | undefined

  constructor({ files, clock, folder, keys, binding, installation }: SessionStoreOptions) {
    this.#keys = keys
    this.#binding = binding
    this.#installation = installation
    this.#file = new SessionFile({ files, clock, folder, profile: binding.profile })
  }

  /**
   * The saved session, or undefined if there is none. A file that can never open (damaged, or of another profile,
   * issuer, client or key) is set aside and counts as none.
   * @throws StoreError if the file or its key cannot be read now, or belongs to another installation or broker; it is left
   *   untouched
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
   * @throws StoreError if the comparison is not possible now, the whole folder is gone, or the file belongs to another
   * installation or broker; nothing is changed then
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
        await this.#requireNotOther(content.text)
        try {
          return await this.#open(content.text)
        } catch (error) {
          if (error instanceof OtherBrokerError) throw error
          await this.setAside()
          return 'foreign'
        }
    }
  }

  /**
   * Writes the session. It survives a crash from the moment this resolves.
   * @throws StoreError, also if the file belongs to another installation; the previous file is then still there, whole
   */
  async save(session: Session): Promise<void> {
    await this.requireOwnFile()
    const { key } = await this.#keys.current()
    const envelope = await seal(session, key, this.#binding, await this.#installation())
    // Once more: writing and syncing take a while, in which another installation may have saved a session of its own.
    await this.#file.write(envelope, () => this.requireOwnFile())
    this.#lastText = envelope
  }

  /** @throws StoreError if the file belongs to another installation, or that cannot be told */
  async requireOwnFile(): Promise<void> {
    const text = await this.#file.readText()
    if (text !== undefined && text !== this.#lastText) await this.#requireNotOther(text)
  }

  /** Renames the file if it belongs to another installation. Only for a person who wants to go on without it. @throws StoreError */
  async setAsideOther(): Promise<void> {
    try {
      await this.requireOwnFile()
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'other_installation')) throw error
      await this.#file.setAsideOther()
    }
  }

  /** Deletes the saved session, if there is one. @throws StoreError, also if the file belongs to another installation */
  async remove(): Promise<void> {
    await this.requireOwnFile().catch((error: StoreError) => {
      // A file that this store has read or written is the user's own, although it cannot be read now.
      if (error.code === 'other_installation' || this.#lastText === undefined) throw error
    })
    await this.#file.remove()
  }

  /** Deletes the saved session and the files that were set aside, since those may still open. @throws StoreError */
  async purge(): Promise<void> {
    try {
      await this.remove()
    } finally {
      await this.#file.removeSetAside() // also if the file belongs to another installation: these do not
    }
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

  /** @throws StoreError if the text is the envelope of another installation, or that cannot be told */
  async #requireNotOther(text: string): Promise<void> {
    await this.#requireOwn(text).catch((error: unknown) => {
      if (error instanceof StoreError) throw error // text that is no envelope belongs to no installation
    })
  }

  /** @throws StoreError if it may open another time; another error if it never will */
  async #open(envelope: string): Promise<Session> {
    await this.#requireOwn(envelope)
    const { keyId, version } = readHeader(envelope)
    if (typeof version === 'number' && version > ENVELOPE_VERSION) throw new StoreError('newer_version')
    return await unseal(envelope, await this.#keys.find(keyId), this.#binding)
  }

  /**
   * @throws StoreError if another installation wrote the envelope; another error if the text is not an envelope.
   * An envelope without an id, of version 1.0 of the program, belongs to the installation that has its key. One with a key
   * of this installation that does not open is damaged: its id proves nothing. One that opens and names this very place was
   * written before the id of this installation was lost.
   */
  async #requireOwn(envelope: string): Promise<void> {
    const { installation, place, keyId } = readHeader(envelope)
    const own = await this.#installation()
    if (installation === own.id) return
    const key = await this.#keys.find(keyId).catch((error: unknown) => error)
    if (installation === undefined && !(key instanceof ForeignKeyError)) return
    const hasKey = !(key instanceof Error)
    if (hasKey && (place === own.place || !(await opens(envelope, key as StoreKey)))) return
    throw otherInstallation(this.#file.path, typeof place === 'string' ? place : undefined, own)
  }
}

const TAKE_OVER = 'run cadzero-auth login --take-over to sign in here and keep the file under another name'

function otherInstallation(path: string, place: string | undefined, own: Installation): StoreError {
  const other = place === undefined ? 'another installation' : `the installation at ${printable(place)}`
  const advice =
    place === own.place
      ? `this one has the same place, and another id. If its data folder was deleted or replaced, ${TAKE_OVER}. Otherwise another computer has the same name: use cadzero-auth there`
      : `this one is at ${own.place}. Use that installation, or ${TAKE_OVER}`
  return new StoreError('other_installation', `${path} belongs to ${other}; ${advice}`)
}

/** The place was read from a header that is not authenticated: no control or formatting character of it is shown. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, '?').slice(0, LONGEST_PLACE)
}
