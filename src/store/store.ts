// Keeps the session of one profile on disk, encrypted and durable, and tells "absent" from "cannot be read".
import { join } from 'node:path'
import type { Clock } from '../host/clock.ts'
import {
  errorCode,
  FileError,
  type FileSystem,
  readPrivateFile,
  removePrivateFile,
  setAsideFile,
  writePrivateFile,
} from '../host/files.ts'
import { type Binding, ENVELOPE_VERSION, readHeader, seal, unseal } from './envelope.ts'
import { StoreError, storeErrorOf } from './errors.ts'
import type { KeyProtection } from './key.ts'
import type { Session } from './session.ts'
import type { StoreKeys } from './store-keys.ts'

const LARGEST_FILE = 1024 * 1024 // a session is some 4 KiB; a file of a gigabyte must not be read into memory
const KEPT_ASIDE = 3

export interface SessionStoreOptions {
  readonly files: FileSystem
  readonly clock: Clock
  /** The folder of session files; it is there, and private. */
  readonly folder: string
  readonly keys: StoreKeys
  readonly binding: Binding
}

/** What a look at the file has found: as it was, gone, something that did not open (it is set aside), or another session. */
export type Found = 'same' | 'gone' | 'foreign' | Session

export class SessionStore {
  readonly #options: SessionStoreOptions
  readonly #path: string
  /** What was read or written last. It is compared as a whole: it is small, and times and sizes can lie. */
  #known: string | undefined

  constructor(options: SessionStoreOptions) {
    this.#options = options
    this.#path = join(options.folder, `${options.binding.profile}.jwe`)
  }

  /**
   * The saved session, or undefined where there is none. A file that can never open (damaged, or of another profile,
   * issuer, client or key) is set aside and counts as none.
   * @throws StoreError where the file or its key cannot be read now; it is left untouched.
   */
  async load(): Promise<Session | undefined> {
    const envelope = await this.#read()
    if (envelope === undefined) return undefined
    try {
      const { keyId, version } = readHeader(envelope)
      if (typeof version === 'number' && version > ENVELOPE_VERSION) throw new StoreError('newer_version')
      const key = await this.#options.keys.find(keyId)
      const session = await unseal(envelope, key, this.#options.binding)
      this.#known = envelope
      return session
    } catch (error) {
      if (error instanceof StoreError) throw error
      await this.setAside()
      return undefined
    }
  }

  /**
   * Looks whether the file is still what this store has read or written last: a backup may have been restored over it, or
   * somebody has deleted it. What does not open is set aside, for nothing that somebody may want back is overwritten.
   * @throws StoreError where that cannot be told now, or the whole folder is gone; nothing is changed then.
   */
  async look(): Promise<Found> {
    const envelope = await this.#readAgain()
    if (envelope === undefined) return 'foreign'
    if (envelope === null) return 'gone'
    if (envelope === this.#known) return 'same'
    try {
      const key = await this.#options.keys.find(readHeader(envelope).keyId)
      return await unseal(envelope, key, this.#options.binding)
    } catch {
      await this.setAside()
      return 'foreign'
    }
  }

  /**
   * Writes the session so that it survives a crash from the moment this resolves.
   * @throws StoreError; the file that was there is then still there, whole.
   */
  async save(session: Session): Promise<void> {
    const { key } = await this.#options.keys.current()
    const envelope = await seal(session, key, this.#options.binding)
    await this.#attempt(() => writePrivateFile(this.#options.files, this.#path, envelope))
    this.#known = envelope
  }

  /** Deletes the saved session; harmless where there is none. @throws StoreError */
  async remove(): Promise<void> {
    await this.#attempt(() => removePrivateFile(this.#options.files, this.#path))
  }

  /** Deletes the saved session, and those that were set aside: they may still open. @throws StoreError */
  async purge(): Promise<void> {
    await this.remove()
    const { files, folder } = this.#options
    await this.#attempt(async () => {
      for (const name of await this.#setAside()) await removePrivateFile(files, join(folder, name))
    })
  }

  /** Moves the session file, if there is one, out of the way of a new one. The newest three such files are kept. */
  async setAside(): Promise<void> {
    const { files, clock, folder } = this.#options
    await this.#attempt(async () => {
      const aside = join(folder, `${this.#asidePrefix}${Math.floor(clock.now() * 1000)}`)
      await setAsideFile(files, this.#path, aside).catch(ignoreAbsent)
      const kept = await this.#setAside()
      for (const name of kept.slice(0, -KEPT_ASIDE)) await files.unlink(join(folder, name))
    })
  }

  get #asidePrefix(): string {
    return `${this.#options.binding.profile}.jwe.bad-`
  }

  /** The names of the files that were set aside, the oldest first. */
  async #setAside(): Promise<string[]> {
    const { files, folder } = this.#options
    return (await files.readdir(folder)).filter((name) => name.startsWith(this.#asidePrefix)).sort()
  }

  /** How the key is protected, once it can be used. Makes the key where there is none. @throws StoreError */
  async protection(): Promise<KeyProtection> {
    return (await this.#options.keys.current()).protection
  }

  async #read(): Promise<string | undefined> {
    try {
      return (await readPrivateFile(this.#options.files, this.#path, LARGEST_FILE))?.toString('utf8')
    } catch (error) {
      if (!(error instanceof FileError && error.code === 'too_large')) throw storeErrorOf(error)
      await this.setAside()
      return undefined
    }
  }

  /** The text of the file; null where it is gone, undefined where it is none that could be ours. @throws StoreError */
  async #readAgain(): Promise<string | null | undefined> {
    const { files, folder } = this.#options
    try {
      const read = await readPrivateFile(files, this.#path, LARGEST_FILE)
      if (read) return read.toString('utf8')
      await files.lstat(folder) // without its folder it was not deleted: a disk is missing
      return null
    } catch (error) {
      // One that others can read is ours all the same, and is replaced by one that they cannot.
      if (!(error instanceof FileError)) throw storeErrorOf(error)
      if (error.code !== 'too_open') await this.setAside()
      return undefined
    }
  }

  async #attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      throw storeErrorOf(error)
    }
  }
}

function ignoreAbsent(error: unknown): void {
  if (errorCode(error) !== 'ENOENT') throw error
}
