// The session file of one profile as bytes on disk: read with its checks, replaced, deleted, set aside.
import { join } from 'node:path'
import type { Clock } from '../host/clock.ts'
import {
  errorCode,
  FileError,
  type FileSystem,
  readOwnFile,
  readPrivateFile,
  removePrivateFile,
  setAsideFile,
  writePrivateFile,
} from '../host/files.ts'
import { type EnvelopeHeader, readHeader } from './envelope.ts'
import { storeErrorOf } from './errors.ts'

const LARGEST_FILE = 1024 * 1024 // a session is about 4 KiB; a file of a gigabyte must not be read into memory
const KEPT_ASIDE = 3

export interface SessionFileOptions {
  readonly files: FileSystem
  readonly clock: Clock
  /** The folder of session files. It exists and is private. */
  readonly folder: string
  readonly profile: string
}

export type SessionFileContent =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'absent' }
  /** There is a file, but not a private plain file of the user with a size that a session can have. */
  | { readonly kind: 'refused'; readonly error: FileError }

/** Every method throws StoreError and nothing else. */
export class SessionFile {
  readonly #files: FileSystem
  readonly #clock: Clock
  readonly #folder: string
  readonly #path: string
  readonly #asidePrefix: string
  readonly #otherPrefix: string

  constructor({ files, clock, folder, profile }: SessionFileOptions) {
    this.#files = files
    this.#clock = clock
    this.#folder = folder
    this.#path = join(folder, `${profile}.jwe`)
    this.#asidePrefix = `${profile}.jwe.bad-`
    this.#otherPrefix = `${profile}.jwe.other-`
  }

  get path(): string {
    return this.#path
  }

  async read(): Promise<SessionFileContent> {
    try {
      const content = await readPrivateFile(this.#files, this.#path, LARGEST_FILE)
      return content ? { kind: 'text', text: content.toString('utf8') } : { kind: 'absent' }
    } catch (error) {
      if (error instanceof FileError) return { kind: 'refused', error }
      throw storeErrorOf(error)
    }
  }

  /** The text of the file, also if others may read it; undefined if there is no such file of the user. */
  async readText(): Promise<string | undefined> {
    try {
      return (await readOwnFile(this.#files, this.#path, LARGEST_FILE, false))?.toString('utf8')
    } catch (error) {
      if (error instanceof FileError) return undefined
      throw storeErrorOf(error)
    }
  }

  /** Throws if the folder itself is missing: then its disk is gone, and the file was not deleted. */
  async checkFolder(): Promise<void> {
    await attempt(() => this.#files.lstat(this.#folder))
  }

  /**
   * Replaces the file so that it survives a crash. If this throws, the previous file is still there, whole.
   * @param beforeRename the last check before the previous file is replaced
   */
  async write(text: string, beforeRename: () => Promise<void>): Promise<void> {
    await attempt(() => writePrivateFile(this.#files, this.#path, text, true, beforeRename))
  }

  /** Deletes the file, if there is one. */
  async remove(): Promise<void> {
    await attempt(() => removePrivateFile(this.#files, this.#path))
  }

  /** Renames the file, if there is one, so that a new one does not overwrite it. The newest three such files are kept. */
  async setAside(): Promise<void> {
    await attempt(async () => {
      const aside = join(this.#folder, `${this.#asidePrefix}${Math.floor(this.#clock.now() * 1000)}`)
      await setAsideFile(this.#files, this.#path, aside).catch(ignoreAbsent)
      const kept = await this.#namesSetAside()
      for (const name of kept.slice(0, -KEPT_ASIDE)) await this.#files.unlink(join(this.#folder, name))
    })
  }

  /** Renames the file of another installation. It is never deleted by this one. */
  async setAsideOther(): Promise<void> {
    await attempt(async () => {
      const aside = join(this.#folder, `${this.#otherPrefix}${Math.floor(this.#clock.now() * 1000)}`)
      await setAsideFile(this.#files, this.#path, aside).catch(ignoreAbsent)
    })
  }

  /** Deletes the files that were set aside. */
  async removeSetAside(): Promise<void> {
    await attempt(async () => {
      for (const name of await this.#namesSetAside()) await removePrivateFile(this.#files, join(this.#folder, name))
    })
  }

  /** The oldest first. */
  async #namesSetAside(): Promise<string[]> {
    return (await this.#files.readdir(this.#folder)).filter((name) => name.startsWith(this.#asidePrefix)).sort()
  }
}

/** The header of a session file, not authenticated; undefined if the file is none, or cannot be read. Never throws. */
export async function sessionHeaderOf(files: FileSystem, path: string): Promise<EnvelopeHeader | undefined> {
  try {
    const header = readHeader((await readOwnFile(files, path, LARGEST_FILE, false))?.toString('utf8') ?? '')
    return header.isSession ? header : undefined
  } catch {
    return undefined
  }
}

async function attempt(action: () => Promise<unknown>): Promise<void> {
  try {
    await action()
  } catch (error) {
    throw storeErrorOf(error)
  }
}

function ignoreAbsent(error: unknown): void {
  if (errorCode(error) !== 'ENOENT') throw error
}
