// The issuer that a Clerk publishable key stands for.

/**
 * The Frontend API's URL. The key is `pk_test_` or `pk_live_` and the host with a `$` at its end, in base64.
 * @returns undefined if this is no publishable key
 */
export function issuerOf(publishableKey: string): string | undefined {
  const [, encoded] = /^pk_(?:test|live)_([A-Za-z0-9+/_-]+={0,2})$/.exec(publishableKey) ?? []
  const [, host] = /^([a-z0-9.-]+)\$$/.exec(Buffer.from(encoded ?? '', 'base64').toString('latin1')) ?? []
  return host === undefined ? undefined : `https://${host}`
}
