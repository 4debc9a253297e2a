// Composes the authenticator of a profile from the configuration: its provider, its store, and the keys of the store.
import { join } from 'node:path'
import { type Config, findProfile } from '../config/config.ts'
import type { Folders } from '../config/paths.ts'
import type { Profile } from '../config/profile.ts'
import type { Host } from '../host/host.ts'
import type { Log } from '../log/log.ts'
import { Authenticator } from '../session/authenticator.ts'
import { LoginHint } from '../session/login-hint.ts'
import { PromptPause } from '../session/prompt-pause.ts'
import type { ProfileStatus } from '../session/status.ts'
import { type Installation, loadInstallation } from '../store/installation.ts'
import { type KeyProvider, keyfileProvider, keyringProvider, passphraseProvider } from '../store/key.ts'
import { systemKeyring } from '../store/keyring.ts'
import { SessionStore } from '../store/store.ts'
import { StoreKeys } from '../store/store-keys.ts'
import { createProvider } from './identity-providers.ts'
import { type QuietKeyringParts, quietKeyring } from './quiet-keyring.ts'

export interface AuthenticatorParts extends QuietKeyringParts {
  readonly host: Host
  readonly folders: Folders
  readonly log: Log
  readonly passphrase: string | undefined
  readonly onChange: (status: ProfileStatus) => void
  readonly onExpiring: (profile: string, sessionExpiresAt: number, inSeconds: number) => void
}

/**
 * Creates authenticators that share the store's keys.
 * @returns a function that throws ConfigurationError if there is no such profile, or it is not usable
 */
export function authenticatorFactory(config: Config, parts: AuthenticatorParts): (profile: string) => Authenticator {
  const { host, folders, log, onChange, onExpiring } = parts
  const { files, random, clock } = host
  let keys: StoreKeys | undefined
  let installation: Promise<Installation> | undefined
  const findInstallation = () => {
    installation ??= loadInstallation({ files, random, dataFolder: folders.data, hostName: host.name }).catch(
      (error: unknown) => {
        installation = undefined // the next call tries again
        throw error
      },
    )
    return installation
  }
  const callbackPorts = new Map<number, string>()
  return (name) => {
    const profile = findProfile(config, name)
    const clientId = profile.kind === 'oauth' ? profile.clientId : null
    const { provider, callbackAddress } = createProvider(profile, host)
    keys ??= new StoreKeys(keyProviders(config.keyProtection, parts))
    const store = new SessionStore({
      files,
      clock,
      folder: folders.sessions,
      keys,
      installation: findInstallation,
      binding: { profile: name, issuer: profile.issuer, clientId, broker: brokerOf(profile) },
    })
    const loginHint = new LoginHint(host.files, join(folders.data, `known-user-${name}.json`))
    const promptPause = new PromptPause({ files, clock, path: join(folders.data, `prompt-pause-${name}.json`) })
    return new Authenticator({
      profile: name,
      provider,
      callbackAddress,
      store,
      loginHint,
      promptPause,
      callbackPorts,
      host,
      log,
      onChange,
      onExpiring: (sessionExpiresAt, inSeconds) => onExpiring(name, sessionExpiresAt, inSeconds),
    })
  }
}

/** The broker in one spelling. It counts also if `refresh` is off: what is off for now must not let go of the session. */
function brokerOf(profile: Profile): string | null {
  if (profile.kind === 'oauth' || profile.brokerUrl === undefined) return null
  return new URL(profile.brokerUrl).href.replace(/\/$/, '')
}

function keyProviders(wanted: Config['keyProtection'], parts: AuthenticatorParts): readonly KeyProvider[] {
  const { host, folders, passphrase } = parts
  const { files, random, clock } = host
  const keyring = () => keyringProvider(systemKeyring(clock, { wrap: quietKeyring(parts) }), random)
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
