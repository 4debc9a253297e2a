// The configured protection of the store key, for commands that only warn or clean up.
import { type Config, loadConfig } from '../config/config.ts'
import { ConfigurationError } from '../config/errors.ts'
import type { Context } from './context.ts'

/** `auto` if the configuration cannot be read. */
export async function configuredKeyProtection({ host, folders }: Context): Promise<Config['keyProtection']> {
  try {
    return (await loadConfig(host.files, folders.configFile, process.env)).keyProtection
  } catch (error) {
    if (error instanceof ConfigurationError) return 'auto'
    throw error
  }
}
