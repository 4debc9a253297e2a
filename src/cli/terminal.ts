// Output to the terminal: results to standard output, errors, hints and notes to standard error.

import { EXIT } from './failure.ts'

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

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** Prints a line for the user that no script should read. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

export function printError(error: string, hint?: string): void {
  note(`error: ${error}`)
  if (hint !== undefined) note(`hint: ${hint}`)
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
