// Remembers the person whose session CADZERO kept before this daemon, so that the sign-in page can be filled in. No secret.
import * as v from 'valibot'
import { type FileSystem, readPrivateFile, removePrivateFile, writePrivateFile } from '../host/files.ts'

const LARGEST_FILE = 4096 // bytes
const LONGEST_TEXT = 320 // characters; no e-mail address is longer
const text = v.nullable(v.pipe(v.string(), v.maxLength(LONGEST_TEXT)))
const schema = v.object({ id: text, email: text, name: text })

export type KnownUser = v.InferOutput<typeof schema>

export class LoginHint {
  readonly #files: FileSystem
  readonly #path: string

  /** @param path a file for this profile alone, in a private folder that exists */
  constructor(files: FileSystem, path: string) {
    this.#files = files
    this.#path = path
  }

  /** The e-mail address for `login_hint`; undefined if none is known or the file is unusable. Never throws. */
  async email(): Promise<string | undefined> {
    try {
      const content = (await readPrivateFile(this.#files, this.#path, LARGEST_FILE))?.toString('utf8')
      return content === undefined ? undefined : (v.parse(schema, JSON.parse(content)).email ?? undefined)
    } catch {
      return undefined
    }
  }

  /** @throws FileError, or a system error */
  async remember(user: KnownUser): Promise<void> {
    await writePrivateFile(this.#files, this.#path, JSON.stringify(user))
  }

  /** After a sign-in or a logout. Never throws. */
  async forget(): Promise<void> {
    await removePrivateFile(this.#files, this.#path).catch(() => undefined)
  }
}
