// How long no browser opens by itself after a sign-in that no person answered. It survives a restart of the daemon.
import * as v from 'valibot'
import type { Clock } from '../host/clock.ts'
import { type FileSystem, readPrivateFile, removePrivateFile, writePrivateFile } from '../host/files.ts'
import { Mutex } from './mutex.ts'

const LONGEST_PAUSE = 2 * 3600 // s
const CANCELLED_PAUSE = 60 // s; a cancel is the act of a person, so that the count starts again
// After each opening without success the next pause: a client that asks all night opens four tabs at most.
const UNANSWERED_PAUSES = [60, 15 * 60, LONGEST_PAUSE]
const LARGEST_FILE = 1024 // bytes

const schema = v.object({
  /** Openings in a row that led to no session. */
  unanswered: v.pipe(v.number(), v.integer(), v.minValue(0)),
  /** Unix seconds until which no browser opens by itself; null for ever. */
  until: v.nullable(v.pipe(v.number(), v.finite())),
})
type SavedPause = v.InferOutput<typeof schema>

interface Pause extends SavedPause {
  /** Whether `unanswered` has the opening of the sign-in under way. No sign-in survives a restart. */
  readonly isCounted: boolean
}

const NONE: Pause = { unanswered: 0, until: 0, isCounted: false }

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
      const pause = { ...v.parse(schema, JSON.parse(text)), isCounted: false }
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

  /** A browser has opened. It counts from now on, so that a daemon that ends before the sign-in does leaves the pause behind. */
  async opened(): Promise<void> {
    if (this.#pause.isCounted) return
    await this.#begin(this.#pause.unanswered + 1, true)
  }

  /** A sign-in failed after it had been shown. A provider or a network can make that happen again at once, with no person there. */
  async failed(): Promise<void> {
    const { unanswered, isCounted } = this.#pause
    await this.#begin(isCounted ? unanswered : unanswered + 1)
  }

  /** A person has ended the sign-in: the count starts again. */
  async cancelled(): Promise<void> {
    await this.#begin(0)
  }

  async #begin(unanswered: number, isCounted = false): Promise<void> {
    const seconds = unanswered === 0 ? CANCELLED_PAUSE : UNANSWERED_PAUSES[unanswered - 1]
    const { clock } = this.#options
    this.#monotonicUntil = seconds === undefined ? Number.POSITIVE_INFINITY : clock.monotonic() + seconds
    await this.#set({ unanswered, until: seconds === undefined ? null : clock.now() + seconds, isCounted })
  }

  /** A person has signed in, or has just asked for a sign-in. */
  async end(): Promise<void> {
    if (this.#pause === NONE) return
    this.#pause = NONE
    const { files, path } = this.#options
    await this.#mutex.run(() => removePrivateFile(files, path)).catch(() => undefined)
  }

  /** Resolves when the file says what this object says. */
  async settled(): Promise<void> {
    await this.#mutex.idle()
  }

  async #set(pause: Pause): Promise<void> {
    this.#pause = pause
    // Without the file a restart forgets the pause, which costs one tab.
    const { files, path } = this.#options
    const { unanswered, until } = pause
    const text = JSON.stringify({ unanswered, until } satisfies SavedPause)
    await this.#mutex.run(() => writePrivateFile(files, path, text, false)).catch(() => undefined)
  }
}
