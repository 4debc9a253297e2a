// The one error of this room: the service manager of the system is missing or refuses.

export class ServiceError extends Error {
  /** @param hint what the user can do about it */
  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message)
    this.name = 'ServiceError'
  }
}

/** The last line that a system program printed, which holds its error. Such programs print no secrets. */
export function lastLine({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): string {
  const lines = `${stdout}\n${stderr}`.split('\n').map((line) => line.trim())
  return lines.filter((line) => line !== '').at(-1) ?? 'it printed no error'
}
