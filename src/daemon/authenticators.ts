// One authenticator a profile, made when it is first asked for.
import type { IdentityProvider } from '../clerk/identity-provider.ts'
import type { Host } from '../host/host.ts'
import type { Status } from '../rpc/contract.ts'
import { type KeyProvider, keyfileProvider, keyringProvider, passphraseProvider } from '../store/key.ts'
import { systemKeyring } from '../store/keyring.ts'
import { SessionStore } from '../store/store.ts'
import { StoreKeys } from '../store/store-keys.ts'
import { Authenticator } from './authenticator.ts'
import type { Config, Profile } from './config.ts'
import { ConfigurationError } from './errors.ts'
import type { Folders } from './folders.ts'
import type { Log } from './log.ts'

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
    const profile = config.profiles.get(wanted)
    if (!profile) throw new ConfigurationError('profile', `one of ${[...config.profiles.keys()].join(', ')}`)
    const authenticator = this.#create(profile, config)
    this.#known.set(wanted, authenticator)
    return authenticator
  }

  /** Reads the default profile's session, so that the first caller finds it in memory. */
  loadDefault(): void {
    const { config, log } = this.#options
    if (config instanceof ConfigurationError || config.profiles.get(config.defaultProfile)?.clientId === null) return
    this.get(undefined)
      .load()
      .catch(() => log.warn('session_not_loaded', { profile: config.defaultProfile }))
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
    const { name, issuer, clientId, redirectPort } = profile
    const provider = createProvider(profile, host)
    this.#keys ??= new StoreKeys(keyProviders(config.keyProtection, this.#options))
    const authenticator: Authenticator = new Authenticator({
      profile: name,
      provider,
      redirectPort,
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

function createProvider(profile: Profile, host: Host): IdentityProvider {
  const { name, issuer, clientId, scopes, signInUrl } = profile
  if (clientId === null) {
    throw new ConfigurationError(`profiles.${name}.clientId`, 'the client ID of an OAuth application in Clerk')
  }
  const { fetch, clock, random } = host
  let loaded: Promise<IdentityProvider> | undefined
  // Loaded at the first use: a daemon that starts with a good token needs none of it.
  const load = () => {
    loaded ??= import('../clerk/authorization-server.ts').then(
      ({ AuthorizationServer }) =>
        new AuthorizationServer({ issuer, clientId, scopes, signInUrl, fetch, clock, random }),
    )
    return loaded
  }
  return {
    authorize: async (redirectUri) => (await load()).authorize(redirectUri),
    refresh: async (session) => (await load()).refresh(session),
    revoke: async (session) => (await load()).revoke(session),
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
