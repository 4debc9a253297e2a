// Remembers who was signed in before CADZERO had this daemon, so that their sign-in page is filled in. No secret, a courtesy.
import * as v from 'valibot'
import { type FileSystem, readPrivateFile, removePrivateFile, writePrivateFile } from '../host/files.ts'

const LARGEST_FILE = 4096
const text = v.nullable(v.pipe(v.string(), v.maxLength(320)))
const schema = v.object({ id: text, email: text, name: text })

export type KnownUser = v.InferOutput<typeof schema>

export class KnownUserFile {
  readonly #files: FileSystem
  readonly #path: string

  /** @param path of a file of this profile's own, in a folder that is there and private */
  constructor(files: FileSystem, path: string) {
    this.#files = files
    this.#path = path
  }

  /** Whoever is known; undefined where nobody is, or the file is of no use. Never throws. */
  async read(): Promise<KnownUser | undefined> {
    try {
      const text = (await readPrivateFile(this.#files, this.#path, LARGEST_FILE))?.toString('utf8')
      return text === undefined ? undefined : v.parse(schema, JSON.parse(text))
    } catch {
      return undefined
    }
  }

  /** @throws FileError, or a system error */
  async write(user: KnownUser): Promise<void> {
    await writePrivateFile(this.#files, this.#path, JSON.stringify(user))
  }

  /** They have signed in, or signed out. Never throws. */
  async forget(): Promise<void> {
    await removePrivateFile(this.#files, this.#path).catch(() => undefined)
  }
}
