// What goes to the terminal: results to standard output, errors and hints to standard error.

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** Something that the person should see, but that no script should read. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

export function printError(error: string, hint?: string): void {
  note(`error: ${error}`)
  if (hint !== undefined) note(`hint: ${hint}`)
}

/** Unix seconds as a person reads them, with how far off that is. */
export function describeTime(time: number | null, now: number): string {
  if (time === null) return '-'
  const seconds = Math.round(time - now)
  const span = describeSpan(Math.abs(seconds))
  return `${new Date(time * 1000).toLocaleString()} (${seconds >= 0 ? `in ${span}` : `${span} ago`})`
}

/** Seconds as a person reads them. */
export function describeSpan(seconds: number): string {
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} days`
}
