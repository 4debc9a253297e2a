// `cadzero-auth service logs`: prints the last lines of the daemon's log, and follows it on request.
import { errorCode, type FileSystem } from '../../host/files.ts'
import type { Context } from '../context.ts'
import { note, outputEnded, print } from '../terminal.ts'
import { describeLogLine } from './log-line.ts'

export interface LogsOptions {
  readonly json?: boolean
  readonly lines: number
  readonly follow?: boolean
}

const POLL_SECONDS = 0.3

export async function serviceLogs({ host, folders }: Context, options: LogsOptions): Promise<void> {
  const show = (line: string) => print(options.json ? line : describeLogLine(line))
  const log = new LogReader(host.files, folders.logFile)
  const lines = await log.readNewLines()
  if (lines.length === 0) note(`the log is empty: ${folders.logFile}`)
  for (const line of options.lines === 0 ? [] : lines.slice(-options.lines)) show(line)
  if (!options.follow) return
  let isEnded = false
  const end = () => {
    isEnded = true
  }
  process.once('SIGINT', end)
  void outputEnded.then(end)
  while (!isEnded) {
    await host.clock.wait(POLL_SECONDS)
    for (const line of await log.readNewLines()) show(line)
  }
}

/** Reads each line of the log once, also after a rotation. */
class LogReader {
  readonly #files: FileSystem
  readonly #path: string
  #inode = 0
  #offset = 0
  #partialLine = ''

  constructor(files: FileSystem, path: string) {
    this.#files = files
    this.#path = path
  }

  /** The lines since the last call; none if the file does not exist. @throws a system error */
  async readNewLines(): Promise<string[]> {
    const handle = await this.#files.open(this.#path, 'r').catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    })
    if (!handle) return []
    try {
      const { ino, size } = await handle.stat()
      const isRotated = ino !== this.#inode || size < this.#offset
      if (isRotated) [this.#inode, this.#offset, this.#partialLine] = [ino, 0, '']
      const length = size - this.#offset
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, this.#offset)
      this.#offset += bytesRead
      const lines = (this.#partialLine + buffer.toString('utf8', 0, bytesRead)).split('\n')
      this.#partialLine = lines.pop() ?? ''
      return lines.filter((line) => line !== '')
    } finally {
      await handle.close()
    }
  }
}
