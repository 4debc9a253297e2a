// Appends lines to the log file, rotates it, and goes on after a full disk or when the file was removed.
import { join } from 'node:path'
import type { Clock } from '../host/clock.ts'
import { ensurePrivateFolder, errorCode, type FileSystem, openForAppending } from '../host/files.ts'
import { withTimeout } from '../host/timeout.ts'

const MAX_FILE_BYTES = 1024 * 1024
const ROTATED_FILES = 3
const MAX_WAITING = 1024 * 1024 // characters: a disk that hangs must not fill the memory
const RETRY_SECONDS = 0.1 // after a failure a new line tries again, but a flood of lines does so ten times a second at most
const CHECK_SECONDS = 30 // and without a new line
const CLOSE_SECONDS = 2 // a disk that hangs must not keep the daemon from ending

export interface LogWriterOptions {
  /** An existing private folder. It is made again if it was removed. */
  readonly folder: string
  readonly files: FileSystem
  readonly clock: Clock
  /** Called once lines can be written again, if some were not kept meanwhile. @param lines how many are missing */
  readonly onLost: (lines: number) => void
}

interface OpenFile {
  readonly handle: Awaited<ReturnType<FileSystem['open']>>
  readonly ino: number
  size: number
}

export class LogWriter {
  readonly #options: LogWriterOptions
  readonly #path: string
  #waiting: string[] = []
  #waitingLength = 0
  /** The bytes of the first waiting line that are in the file already. */
  #written = 0
  #lost = 0
  #isWriting = false
  #idle: Promise<void> = Promise.resolve()
  #failedAt: number | undefined
  #cancelCheck: () => void = () => undefined
  #file: OpenFile | undefined
  #lastInode: number | undefined

  constructor(options: LogWriterOptions) {
    this.#options = options
    this.#path = join(options.folder, 'daemon.log')
  }

  /** Never throws. A line for which there is no room is counted as lost: the older ones say how the trouble began. */
  write(line: string): void {
    if (this.#waitingLength + line.length > MAX_WAITING) this.#lost++
    else {
      this.#waiting.push(line)
      this.#waitingLength += line.length
    }
    const { clock } = this.#options
    const isPaused = this.#failedAt !== undefined && clock.monotonic() - this.#failedAt < RETRY_SECONDS
    if (!isPaused) this.#start()
  }

  /** Resolves when the lines are in the file, or cannot be written. */
  async close(): Promise<void> {
    this.#start()
    const ended = this.settled().then(() => this.#closeFile())
    const timeout = () => new Error('the log file did not close')
    await withTimeout(this.#options.clock, CLOSE_SECONDS, ended, timeout).catch(() => undefined)
    this.#cancelCheck()
  }

  /** Resolves when every line is in the file, or the attempt has failed. */
  async settled(): Promise<void> {
    while (this.#isWriting) await this.#idle // twice if lines were lost, which is a line itself
  }

  #start(): void {
    if (this.#isWriting || this.#waiting.length === 0) return
    this.#isWriting = true
    this.#cancelCheck()
    this.#idle = this.#writeWaiting()
  }

  async #writeWaiting(): Promise<void> {
    try {
      await this.#openFile()
      for (let line = this.#waiting[0]; line !== undefined; line = this.#waiting[0]) {
        await this.#append(Buffer.from(line))
        this.#waiting.shift()
        this.#waitingLength -= line.length
        this.#written = 0
      }
      this.#failedAt = undefined
      this.#isWriting = false
    } catch {
      const { clock } = this.#options
      await this.#closeFile()
      this.#failedAt = clock.monotonic()
      this.#isWriting = false
      this.#cancelCheck = clock.after(CHECK_SECONDS, () => this.#start())
      return
    }
    const lost = this.#lost
    this.#lost = 0
    if (lost > 0) this.#options.onLost(lost)
  }

  async #append(line: Buffer): Promise<void> {
    const file = this.#file ?? (await this.#openFile())
    while (this.#written < line.length) {
      const { bytesWritten } = await file.handle.write(line, this.#written)
      this.#written += bytesWritten
      file.size += bytesWritten
    }
    // A file that cannot be renamed now, as one that a virus scanner reads, grows until the next try.
    if (file.size >= MAX_FILE_BYTES) await this.#rotate().catch(() => undefined)
  }

  /** Opens the file again if it was removed or replaced since: lines written into a removed file are gone. */
  async #openFile(): Promise<OpenFile> {
    const { files, folder } = this.#options
    const current = await files.stat(this.#path).catch(() => undefined)
    if (this.#file && current?.ino === this.#file.ino) return this.#file
    await this.#closeFile()
    await ensurePrivateFolder(files, folder)
    const { handle, found } = await openForAppending(files, this.#path)
    if (found.ino !== this.#lastInode) this.#written = 0 // the begin of the line is in another file
    this.#lastInode = found.ino
    this.#file = { handle, ino: found.ino, size: found.size }
    return this.#file
  }

  async #rotate(): Promise<void> {
    const { files } = this.#options
    await this.#closeFile()
    for (let number = ROTATED_FILES; number > 0; number--) {
      const from = number === 1 ? this.#path : `${this.#path}.${number - 1}`
      await files.rename(from, `${this.#path}.${number}`).catch((error: unknown) => {
        if (errorCode(error) !== 'ENOENT') throw error
      })
    }
  }

  async #closeFile(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.handle.close().catch(() => undefined)
  }
}
