// `cadzero-auth service logs`: the last lines of the daemon's log as a person reads them, and those that come.
import { errorCode, type FileSystem } from '../../host/files.ts'
import type { Context } from '../context.ts'
import { note, print } from '../terminal.ts'

export interface LogsOptions {
  readonly json?: boolean
  readonly lines: number
  readonly follow?: boolean
}

const LOOK_SECONDS = 0.3

export async function serviceLogs({ host, folders }: Context, options: LogsOptions): Promise<void> {
  const show = (line: string) => print(options.json ? line : describeLine(line))
  const reader = new LogReader(host.files, folders.logFile)
  const lines = await reader.read()
  if (lines.length === 0) note(`nothing was logged yet in ${folders.logFile}`)
  for (const line of options.lines === 0 ? [] : lines.slice(-options.lines)) show(line)
  if (!options.follow) return
  let interrupted = false
  process.once('SIGINT', () => {
    interrupted = true
  })
  while (!interrupted) {
    await host.clock.wait(LOOK_SECONDS)
    for (const line of await reader.read()) show(line)
  }
}

/** Gives the lines that are new since it was asked last, also where the file was rotated meanwhile. */
class LogReader {
  readonly #files: FileSystem
  readonly #path: string
  #inode = 0
  #offset = 0
  #rest = ''

  constructor(files: FileSystem, path: string) {
    this.#files = files
    this.#path = path
  }

  /** @throws a system error */
  async read(): Promise<string[]> {
    const handle = await this.#files.open(this.#path, 'r').catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    })
    if (!handle) return []
    try {
      const { ino, size } = await handle.stat()
      if (ino !== this.#inode || size < this.#offset) [this.#inode, this.#offset, this.#rest] = [ino, 0, '']
      const { buffer, bytesRead } = await handle.read(
        Buffer.alloc(size - this.#offset),
        0,
        size - this.#offset,
        this.#offset,
      )
      this.#offset += bytesRead
      const lines = (this.#rest + buffer.toString('utf8', 0, bytesRead)).split('\n')
      this.#rest = lines.pop() ?? '' // not yet whole
      return lines.filter((line) => line !== '')
    } finally {
      await handle.close()
    }
  }
}

const LEVELS: Readonly<Record<number, string>> = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' }

/** One line of the log: time, level, event, fields. What is no such line is shown as it is, but for what a terminal obeys. */
export function describeLine(line: string): string {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch {
    return plain(line)
  }
  if (typeof parsed !== 'object' || parsed === null) return plain(line)
  const { time, level, event, ...fields } = parsed as Record<string, unknown>
  const shown = Object.entries(fields).map(([name, value]) => `${plain(name)}=${word(value)}`)
  return [word(time), (LEVELS[Number(level)] ?? word(level)).padEnd(5), word(event), ...shown].join('  ')
}

function word(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '-')
  return /^[\w.:@+-]+$/.test(text) ? text : plain(JSON.stringify(value) ?? '-')
}

function plain(text: string): string {
  return text.replace(/[^\P{C}\t]/gu, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
