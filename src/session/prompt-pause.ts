// How long no browser opens by itself after a sign-in that no person answered. It survives a restart of the daemon.
import * as v from 'valibot'
import type { Clock } from '../host/clock.ts'
import { type FileSystem, readPrivateFile, removePrivateFile, writePrivateFile } from '../host/files.ts'
import { Mutex } from './mutex.ts'

const LONGEST_PAUSE = 2 * 3600 // s
const FAILED_PAUSE = 60 // s; after a person has closed, denied or cancelled a sign-in
// After each unanswered opening the next pause: a client that asks all night opens four tabs at most.
const UNANSWERED_PAUSES = [60, 15 * 60, LONGEST_PAUSE]
const LARGEST_FILE = 1024 // bytes

const schema = v.object({
  /** Automatic openings in a row that no person answered. */
  unanswered: v.pipe(v.number(), v.integer(), v.minValue(0)),
  /** Unix seconds until which no browser opens by itself; null for ever. */
  until: v.nullable(v.pipe(v.number(), v.finite())),
})
type Pause = v.InferOutput<typeof schema>

const NONE: Pause = { unanswered: 0, until: 0 }

export interface PromptPauseOptions {
  readonly files: FileSystem
  readonly clock: Clock
  /** A file for this profile alone, in a private folder that exists. */
  readonly path: string
}

export class PromptPause {
  readonly #options: PromptPauseOptions
  #pause: Pause = NONE
  /** The end of the pause by the monotonic clock: a wall clock that is set back prolongs nothing. */
  #monotonicUntil = Number.POSITIVE_INFINITY
  readonly #mutex = new Mutex() // a removal never comes before the write that it undoes
  #isLoaded = false

  constructor(options: PromptPauseOptions) {
    this.#options = options
  }

  /** Reads the pause that an earlier daemon has written. Never throws: an unreadable file counts as no pause. */
  async load(): Promise<void> {
    if (this.#isLoaded) return // from now on memory knows better
    this.#isLoaded = true
    const { files, path, clock } = this.#options
    try {
      const text = (await readPrivateFile(files, path, LARGEST_FILE))?.toString('utf8')
      if (text === undefined) return
      const pause = v.parse(schema, JSON.parse(text))
      this.#pause = pause
      if (pause.until === null) return
      const seconds = Math.min(pause.until - clock.now(), LONGEST_PAUSE) // whatever happened to the wall clock meanwhile
      this.#pause = { ...pause, until: clock.now() + seconds }
      this.#monotonicUntil = clock.monotonic() + seconds
    } catch {
      this.#pause = NONE
    }
  }

  /** Whether a browser may open although no person has just asked for it. */
  get mayPrompt(): boolean {
    const { clock } = this.#options
    const { until } = this.#pause
    if (until === null) return false
    return clock.now() >= until || clock.monotonic() >= this.#monotonicUntil
  }

  /** A sign-in failed after a person had seen it. @param isUnanswered whether it timed out */
  async failed(isUnanswered: boolean): Promise<void> {
    const unanswered = isUnanswered ? this.#pause.unanswered + 1 : 0
    const seconds = isUnanswered ? UNANSWERED_PAUSES[unanswered - 1] : FAILED_PAUSE
    const { clock } = this.#options
    this.#monotonicUntil = seconds === undefined ? Number.POSITIVE_INFINITY : clock.monotonic() + seconds
    await this.#set({ unanswered, until: seconds === undefined ? null : clock.now() + seconds })
  }

  /** A person has signed in, or has just asked for a sign-in. */
  async end(): Promise<void> {
    if (this.#pause === NONE) return
    this.#pause = NONE
    const { files, path } = this.#options
    await this.#mutex.run(() => removePrivateFile(files, path)).catch(() => undefined)
  }

  async #set(pause: Pause): Promise<void> {
    this.#pause = pause
    // Without the file a restart forgets the pause, which costs one tab.
    const { files, path } = this.#options
    await this.#mutex.run(() => writePrivateFile(files, path, JSON.stringify(pause), false)).catch(() => undefined)
  }
}
