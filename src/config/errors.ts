// The one error of the configuration: which setting is wrong, and what it should be.

/** A setting is wrong. */
export class ConfigurationError extends Error {
  /**
   * @param setting its name, as in `profiles.production.issuer` or `CADZERO_AUTH_PORT`
   * @param expected what it should be, or what to do
   * @param file where it was read from, if from a file
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
