// One authenticator a profile, made when it is first asked for.
import { join } from 'node:path'
import { type Config, findProfile } from '../config/config.ts'
import { ConfigurationError } from '../config/errors.ts'
import type { Folders } from '../config/paths.ts'
import type { Profile } from '../config/profile.ts'
import { createProvider } from '../daemon/identity-providers.ts'
import type { Host } from '../host/host.ts'
import type { Log } from '../log/log.ts'
import type { Status } from '../rpc/contract.ts'
import { type KeyProvider, keyfileProvider, keyringProvider, passphraseProvider } from '../store/key.ts'
import { systemKeyring } from '../store/keyring.ts'
import { SessionStore } from '../store/store.ts'
import { StoreKeys } from '../store/store-keys.ts'
import { Authenticator } from './authenticator.ts'
import { KnownUserFile } from './login-hint.ts'

export interface AuthenticatorsOptions {
  readonly host: Host
  readonly folders: Folders
  readonly log: Log
  /** The configuration, or what is wrong with it: then every profile answers that. */
  readonly config: Config | ConfigurationError
  readonly passphrase: string | undefined
  readonly onChange: (status: Omit<Status, 'daemon'>) => void
}

export class Authenticators {
  readonly #options: AuthenticatorsOptions
  readonly #known = new Map<string, Authenticator>()
  #keys: StoreKeys | undefined

  constructor(options: AuthenticatorsOptions) {
    this.#options = options
  }

  /** @throws ConfigurationError where there is no such profile, or it cannot be used as it is */
  get(name: string | undefined): Authenticator {
    const { config } = this.#options
    if (config instanceof ConfigurationError) throw config
    const wanted = name ?? config.defaultProfile
    const known = this.#known.get(wanted)
    if (known) return known
    const authenticator = this.#create(findProfile(config, wanted), config)
    this.#known.set(wanted, authenticator)
    return authenticator
  }

  /** Reads the default profile's session, so that the first caller finds it in memory. */
  loadDefault(): void {
    const { config, log } = this.#options
    if (config instanceof ConfigurationError) return
    const failed = () => log.warn('session_not_loaded', { profile: config.defaultProfile })
    try {
      this.get(undefined).load().catch(failed)
    } catch {
      failed() // the profile cannot be used as it is; whoever asks is told why
    }
  }

  /** Ends the sign-ins that run. */
  stopWaiting(): void {
    for (const authenticator of this.#known.values()) authenticator.stop()
  }

  /** Resolves when what was under way has reached the disk. */
  async settled(): Promise<void> {
    await Promise.all([...this.#known.values()].map((authenticator) => authenticator.settled()))
  }

  #create(profile: Profile, config: Config): Authenticator {
    const { host, folders, log, onChange } = this.#options
    const { name, issuer } = profile
    const clientId = profile.kind === 'oauth' ? profile.clientId : null
    const { provider, callbackAddress } = createProvider(profile, host)
    this.#keys ??= new StoreKeys(keyProviders(config.keyProtection, this.#options))
    const authenticator: Authenticator = new Authenticator({
      profile: name,
      provider,
      callbackAddress,
      knownUser: new KnownUserFile(host.files, join(folders.data, `known-user-${name}.json`)),
      store: new SessionStore({
        files: host.files,
        clock: host.clock,
        folder: folders.sessions,
        keys: this.#keys,
        binding: { profile: name, issuer, clientId },
      }),
      host,
      log,
      onChange: () => onChange(authenticator.status()),
    })
    return authenticator
  }
}

function keyProviders(wanted: Config['keyProtection'], options: AuthenticatorsOptions): readonly KeyProvider[] {
  const { host, folders, passphrase } = options
  const { files, random, clock } = host
  const keyring = () => keyringProvider(systemKeyring(clock), random)
  const keyfile = () => keyfileProvider(files, folders.keyFile, random)
  switch (wanted) {
    case 'auto':
      return [keyring(), keyfile()]
    case 'keyring':
      return [keyring()]
    case 'keyfile':
      return [keyfile()]
    case 'passphrase':
      return [passphraseProvider(files, folders.wrappedKeyFile, random, passphrase)]
  }
}
