// The error of a wrong setting: its name, and what it should be.

/** A setting is missing or wrong. */
export class ConfigurationError extends Error {
  /**
   * @param setting its name, as in `profiles.production.issuer` or `CADZERO_AUTH_PORT`
   * @param expected what it should be, or what to do
   * @param file the file it was read from, if any
   */
  constructor(
    readonly setting: string,
    readonly expected: string,
    readonly file?: string,
  ) {
    super(`${file === undefined ? '' : `${file}: `}${setting}: ${expected}`)
    this.name = 'ConfigurationError'
  }
}
