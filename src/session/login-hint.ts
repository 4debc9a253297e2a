// What an earlier session means for the next sign-in: who is likely to sign in, or, after a logout, that the provider must ask
// who it is. It survives a restart of the daemon, and holds no secret.
import * as v from 'valibot'
import type { AuthorizationOptions } from '../clerk/identity-provider.ts'
import { type FileSystem, readPrivateFile, removePrivateFile, writePrivateFile } from '../host/files.ts'

const LARGEST_FILE = 4096 // bytes
const LONGEST_TEXT = 320 // characters; no e-mail address is longer
const text = v.nullable(v.pipe(v.string(), v.maxLength(LONGEST_TEXT)))
const knownUser = v.object({ id: text, email: text, name: text })
const loggedOut = v.object({ prompt: v.literal('login') })
const schema = v.union([knownUser, loggedOut])

/** The user whose session CADZERO kept before this daemon. */
export type KnownUser = v.InferOutput<typeof knownUser>

export class LoginHint {
  readonly #files: FileSystem
  readonly #path: string

  /** @param path a file for this profile alone, in a private folder that exists */
  constructor(files: FileSystem, path: string) {
    this.#files = files
    this.#path = path
  }

  /** The options of the next authorization request; empty if nothing is known or the file is unusable. Never throws. */
  async read(): Promise<AuthorizationOptions> {
    try {
      const content = (await readPrivateFile(this.#files, this.#path, LARGEST_FILE))?.toString('utf8')
      if (content === undefined) return {}
      const known = v.parse(schema, JSON.parse(content))
      if ('prompt' in known) return known
      return known.email === null ? {} : { loginHint: known.email }
    } catch {
      return {}
    }
  }

  /** @throws FileError, or a system error */
  async remember(user: KnownUser): Promise<void> {
    await writePrivateFile(this.#files, this.#path, JSON.stringify(user))
  }

  /** After a logout: the next person at this computer may be another one. Never throws. */
  async askForAccount(): Promise<void> {
    await writePrivateFile(this.#files, this.#path, JSON.stringify({ prompt: 'login' })).catch(() => undefined)
  }

  /** After a sign-in. Never throws. */
  async forget(): Promise<void> {
    await removePrivateFile(this.#files, this.#path).catch(() => undefined)
  }
}
