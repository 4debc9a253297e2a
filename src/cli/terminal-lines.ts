// Reads lines from a terminal without its line discipline, which cuts a line at 4,096 bytes (1,024 on macOS): a pasted
// address with a token is longer. Invariant: the terminal is as before whenever this program stops, is suspended or ends.
import type { ReadStream } from 'node:tty'

const MAX_LINE = 256 * 1024 // characters

export interface TerminalLinesOptions {
  readonly onLine: (line: string) => void
  /** Called when the line has changed, with its length: the address itself, which holds a code, is not shown. */
  readonly onTyped: (length: number) => void
  /** Sends a signal to this program, as the terminal would. */
  readonly signal: (name: 'SIGINT' | 'SIGTSTP') => void
}

const CTRL_C = '\x03'
const CTRL_D = '\x04'
const CTRL_U = '\x15'
const CTRL_Z = '\x1a'
const CTRL_BACKSLASH = '\x1c'
const ERASE = ['\x7f', '\b']

/** Reads until the returned function is called. */
export function readTerminalLines(input: ReadStream, { onLine, onTyped, signal }: TerminalLinesOptions): () => void {
  let line = ''
  const set = (next: string) => {
    line = next
    onTyped(line.length)
  }
  const restore = () => void input.setRawMode(false)
  const resume = () => void input.setRawMode(true)
  const suspend = () => {
    restore()
    process.once('SIGCONT', resume)
    signal('SIGTSTP')
  }
  const type = (key: string) => {
    if (key === '\r' || key === '\n') {
      const entered = line
      set('')
      onLine(entered)
    } else if (key === CTRL_C || key === CTRL_BACKSLASH) signal('SIGINT')
    else if (key === CTRL_Z) suspend()
    else if (key === CTRL_D && line === '') stop()
    else if (key === CTRL_U) set('')
    else if (ERASE.includes(key)) set(line.slice(0, -1))
    else if (key >= ' ' && line.length < MAX_LINE) line += key
  }
  const onData = (text: string) => {
    for (const key of text.replace(CONTROL_SEQUENCES, '')) type(key)
    if (line !== '') onTyped(line.length)
  }
  const stop = () => {
    input.off('data', onData)
    process.off('SIGCONT', resume)
    process.off('exit', restore)
    restore()
    input.pause()
    input.unref()
  }
  process.once('exit', restore) // Node.js itself restores it after SIGINT and SIGTERM
  resume()
  input.setEncoding('utf8').on('data', onData)
  return stop
}

// Arrow keys, and the marks that some terminals put around a pasted text.
// biome-ignore lint/suspicious/noControlCharactersInRegex: a control sequence begins with a control character
const CONTROL_SEQUENCES = /\x1b(?:\[[0-9;]*[ -/]*[@-~]|O.)/g
