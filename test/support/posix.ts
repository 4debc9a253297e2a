// Tests of what Windows, or Wine in its place, does not have. They are skipped there, and their titles say why.

export const isWindows = process.platform === 'win32'
/** Wine plays Windows: npm run test:windows:suite. */
export const isWine = process.env.CADZERO_AUTH_TEST_WINE === '1'

/** What follows the title of a test or a group with `skipIf(isWindows)`: its reason on Windows, nothing elsewhere. */
export function needs(what: string): string {
  return isWindows ? ` (skipped: needs ${what})` : ''
}

/** What follows the title of a test or a group with `skipIf(isWine)`: what Wine cannot do, and Windows can. */
export function wineLacks(what: string): string {
  return isWine ? ` (skipped under Wine: ${what})` : ''
}
