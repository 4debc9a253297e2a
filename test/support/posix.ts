// Tests of what Windows does not have. They are skipped there, and their titles say why.

export const isWindows = process.platform === 'win32'

/** What follows the title of a test or a group with `skipIf(isWindows)`: its reason on Windows, nothing elsewhere. */
export function needs(what: string): string {
  return isWindows ? ` (skipped: needs ${what})` : ''
}
