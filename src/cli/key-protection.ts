// How the configuration wants the store key to be protected.
import { type Config, loadConfig } from '../config/config.ts'
import { ConfigurationError } from '../config/errors.ts'
import type { Context } from './context.ts'

/** `auto` where the configuration cannot be read. */
export async function keyProtection({ host, folders }: Context): Promise<Config['keyProtection']> {
  try {
    return (await loadConfig(host.files, folders.configFile, process.env)).keyProtection
  } catch (error) {
    if (error instanceof ConfigurationError) return 'auto'
    throw error
  }
}
