// The one error of this room: the system's own service manager is not there, or refuses.

/** With what a person can do about it. */
export class ServiceError extends Error {
  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message)
    this.name = 'ServiceError'
  }
}

/** The last line that a program said, without what it puts before its errors. Such programs say no secrets. */
export function lastWords({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): string {
  const lines = `${stdout}\n${stderr}`.split('\n').map((line) => line.trim())
  return lines.filter((line) => line !== '').at(-1) ?? 'it said nothing'
}
