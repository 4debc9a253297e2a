// The paths of the daemon's files: in the platform's folders, or all below CADZERO_AUTH_HOME.
import { isAbsolute, join } from 'node:path'
import envPaths from 'env-paths'
import { ConfigurationError } from './errors.ts'

export interface Folders {
  readonly config: string
  readonly data: string
  readonly log: string
  readonly sessions: string
  readonly discoveryFile: string
  readonly configFile: string
  readonly logFile: string
  readonly lockFile: string
  /** The store key as a JWK, for a machine without a keyring. */
  readonly keyFile: string
  /** The store key, encrypted with a passphrase. */
  readonly wrappedKeyFile: string
  /** The folder into which the single executable unpacks its native addon. */
  readonly addon: string
}

/** @throws ConfigurationError if CADZERO_AUTH_HOME is not an absolute path */
export function locateFolders(env: NodeJS.ProcessEnv): Folders {
  const home = env.CADZERO_AUTH_HOME
  if (home && !isAbsolute(home)) throw new ConfigurationError('CADZERO_AUTH_HOME', 'an absolute path')
  const own = home ? { config: join(home, 'config'), data: join(home, 'data'), log: join(home, 'log') } : undefined
  // No suffix, so that the Python client finds the same path.
  const { config, data, log } = own ?? envPaths('cadzero-auth', { suffix: '' })
  return {
    config,
    data,
    log,
    sessions: join(config, 'sessions'),
    discoveryFile: join(data, 'endpoint.json'),
    configFile: join(config, 'config.json'),
    logFile: join(log, 'daemon.log'),
    lockFile: join(data, 'daemon.lock'),
    keyFile: join(data, 'store-key.jwk'),
    wrappedKeyFile: join(data, 'store-key.jwe'),
    addon: join(data, 'addon'),
  }
}
