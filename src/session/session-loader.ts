// Reads the saved session when it is first needed, and learns how its key is kept.
import type { Log } from '../log/log.ts'
import type { KeyProtection } from '../store/key.ts'
import type { CurrentSession } from './current-session.ts'
import type { Mutex } from './mutex.ts'
import type { PromptPause } from './prompt-pause.ts'
import type { SessionWriter } from './session-writer.ts'

export interface SessionLoaderOptions {
  readonly writer: SessionWriter
  readonly current: CurrentSession
  readonly mutex: Mutex
  readonly promptPause: PromptPause
  readonly log: Log
}

export class SessionLoader {
  readonly #options: SessionLoaderOptions
  #loading: Promise<void> | undefined
  #keyProtection: KeyProtection | null = null

  constructor(options: SessionLoaderOptions) {
    this.#options = options
  }

  /** How the key of the store is protected; null as long as that is not known. */
  get keyProtection(): KeyProtection | null {
    return this.#keyProtection
  }

  /** Reads the saved session, once; a failed attempt is repeated by the next call. @throws StoreError */
  load(): Promise<void> {
    if (!this.#loading && this.#options.current.state.kind === 'unloaded') {
      this.#loading = this.#load().finally(() => {
        this.#loading = undefined
      })
    }
    return this.#loading ?? Promise.resolve()
  }

  /** Makes sure that there is a key to save a session with. @throws StoreError */
  async prepareKey(): Promise<void> {
    this.#keyProtection = await this.#options.writer.keyProtection()
  }

  async #load(): Promise<void> {
    const { promptPause, mutex, current, writer, log } = this.#options
    await promptPause.load()
    await mutex.run(async () => {
      if (current.state.kind !== 'unloaded') return
      const session = await writer.load()
      if (session) current.publishFromDisk(session)
      else current.publish({ kind: 'signed_out', reason: 'signed_out' })
      log.info('session_loaded', { state: current.state.kind })
    })
    // After the session, so that the first caller does not wait until a key has been created.
    await this.prepareKey().catch(() => undefined)
  }
}
