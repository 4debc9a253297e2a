// Output to the terminal: results to standard output, errors, hints and notes to standard error.
import { stripVTControlCharacters, styleText } from 'node:util'
import { EXIT } from './exit-codes.ts'

// A reader that has gone: `… | head -1`. On Windows it is EOF.
const CLOSED_PIPE: readonly (string | undefined)[] = ['EPIPE', 'EOF', 'ERR_STREAM_DESTROYED']

let endOutput: () => void = () => undefined
/** Resolves once standard output takes no more text. A command that prints until Ctrl-C ends then. */
export const outputEnded = new Promise<void>((resolve) => {
  endOutput = resolve
})

/**
 * Handles the errors of both outputs. A closed pipe is none: what was printed was wanted, the rest is not. Any other error,
 * such as that of a full device, fails the command.
 */
export function watchOutput(): void {
  let hasFailed = false
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    endOutput()
    if (hasFailed || CLOSED_PIPE.includes(error.code)) return
    hasFailed = true
    process.exitCode = EXIT.failed
    note(`error: the output cannot be written: ${error.code ?? error.name}`)
  })
  process.stderr.on('error', () => undefined) // there is no other place to say it
}

/** Whether standard output goes to another program. */
export function isPiped(): boolean {
  return process.stdout.isTTY !== true && 'connecting' in process.stdout // a socket has it, a file does not
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Prints the last line, and ends the process as soon as it is written: what is still open is not waited for. */
export function printAndExit(text: string): void {
  process.stdout.write(`${text}\n`, (error) => {
    if (!error) process.exit() // the listener of `watchOutput` handles the error
  })
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** Prints a line for the user that no script should read. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

export function printError(error: string, hint?: string): void {
  note(`${paint('red', 'error:', process.stderr)} ${error}`)
  if (hint !== undefined) note(`${paint('cyan', 'hint:', process.stderr)} ${hint}`)
}

export type Style = 'bold' | 'red' | 'green' | 'yellow' | 'cyan'

/** The text in a colour if this output is a terminal that has colours and NO_COLOR is not set, otherwise the text as it is. */
export function paint(style: Style, text: string, output: NodeJS.WriteStream): string {
  const isColoured = output.isTTY === true && !process.env.NO_COLOR && output.hasColors()
  return isColoured ? styleText(style, text, { validateStream: false }) : text
}

/** Prints lines, in a terminal wrapped to its width. @param indent the column at which a wrapped line goes on */
export function printWrapped(text: string, indent: number): void {
  const { columns } = process.stdout
  print(columns === undefined ? text : wrap(text, columns, indent))
}

/** Wraps each line between words. A word that is longer than a line, such as a link, stays whole. */
export function wrap(text: string, width: number, indent: number): string {
  return text
    .split('\n')
    .map((line) => wrapLine(line, width, indent))
    .join('\n')
}

function wrapLine(line: string, width: number, indent: number): string {
  if (shownLength(line) <= width) return line
  const lines = ['']
  for (const part of line.match(/\s*\S+/g) ?? []) {
    const current = String(lines.at(-1))
    if (shownLength(current + part) <= width || current.trim() === '') lines[lines.length - 1] = current + part
    else lines.push(' '.repeat(indent) + part.trimStart())
  }
  return lines.join('\n')
}

/** Without the control sequences of colours. */
function shownLength(text: string): number {
  return stripVTControlCharacters(text).length
}

/**
 * A time with its distance from now: `… (in 5 min)`, `… (5 min ago)`. `-` for null.
 * @param time Unix seconds
 * @param now Unix seconds
 * @param verb put before the distance if the time is to come
 */
export function describeTime(time: number | null, now: number, verb = ''): string {
  if (time === null) return '-'
  const seconds = Math.round(time - now)
  const span = describeSpan(Math.abs(seconds))
  return `${new Date(time * 1000).toLocaleString()} (${seconds >= 0 ? `${verb}in ${span}` : `${span} ago`})`
}

/** A duration in the largest unit that fits. */
export function describeSpan(seconds: number): string {
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} days`
}
