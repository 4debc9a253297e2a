// Creates the services of a daemon: its log, its profiles and its RPC methods. Nothing outside the process is touched yet.
import { type Config, findProfile } from '../config/config.ts'
import { ConfigurationError } from '../config/errors.ts'
import type { Folders } from '../config/paths.ts'
import { openerPaths } from '../host/browser.ts'
import type { Host } from '../host/host.ts'
import { createLog, type DaemonLog } from '../log/log.ts'
import type { Diagnosis, NotificationName, NotificationParams, Status } from '../rpc/contract.ts'
import type { RpcServerOptions } from '../rpc/server.ts'
import { ProfileRegistry } from '../session/profile-registry.ts'
import type { ProfileStatus } from '../session/status.ts'
import { PromptRest } from '../store/prompt-rest.ts'
import { type AuthenticatorParts, authenticatorFactory } from './create-authenticator.ts'
import { createHandlers } from './handlers.ts'
import { quietKeyring } from './quiet-keyring.ts'

/** Sends a notification to every client. */
export type Notify = <N extends NotificationName>(name: N, params: NotificationParams<N>) => void

export interface ServicesOptions {
  readonly host: Host
  readonly folders: Folders
  readonly env: NodeJS.ProcessEnv
  readonly version: string
  readonly commit: string | null
  readonly passphrase: string | undefined
  /** If it is an error, every call of a profile fails with that error. */
  readonly config: Config | ConfigurationError
  readonly notify: Notify
  readonly onShutdown: () => void
}

export interface Services {
  readonly log: DaemonLog
  readonly profiles: ProfileRegistry
  readonly serverOptions: Omit<RpcServerOptions, 'port'>
}

export function createServices(options: ServicesOptions): Services {
  const { host, folders, env, version, commit, passphrase, config, notify, onShutdown } = options
  const level = config instanceof ConfigurationError ? 'info' : config.logLevel
  const log = createLog({ folder: folders.log, level, files: host.files, clock: host.clock })
  const startedAt = host.clock.monotonic()
  const withDaemon = (status: ProfileStatus): Status => {
    const uptimeSeconds = Math.floor(host.clock.monotonic() - startedAt)
    return { ...status, daemon: { version, commit, pid: process.pid, uptimeSeconds } }
  }
  const promptRest = new PromptRest(host.clock)
  if (!(config instanceof ConfigurationError)) {
    const proxyPassword = async (proxy: string) => {
      const { systemProxyPassword } = await import('../store/proxy-password.ts')
      return await systemProxyPassword(host.clock, { wrap: quietKeyring({ host, env, promptRest }) }).read(proxy)
    }
    host.network.configure({ ...config, proxyPassword })
  }
  const profiles = createRegistry(config, {
    ...{ host, folders, env, log, passphrase, promptRest },
    onChange: (status) => notify('sessionChanged', withDaemon(status)),
    onExpiring: (profile, sessionExpiresAt, inSeconds) =>
      notify('sessionExpiring', { profile, sessionExpiresAt, inSeconds }),
  })
  const methods = createHandlers({
    authenticator: (profile) => profiles.get(profile),
    describe: (authenticator) => withDaemon(authenticator.status()),
    onPersonAsked: () => promptRest.end(),
    diagnose: diagnoser(options),
    discover: async () => (await import('../rpc/openrpc.ts')).openRpcDocument(version),
    shutdown: () => {
      const { unsaved } = profiles
      onShutdown()
      return { pid: process.pid, unsaved }
    },
  })
  const serverOptions: Services['serverOptions'] = {
    methods,
    clock: host.clock,
    onRefused: (reason) => log.debug('connection_refused', { reason }),
    // The name alone: a message may quote a secret.
    onInternalError: (error) =>
      log.error('internal_error', { reason: error instanceof Error ? error.name : 'unknown' }),
  }
  return { log, profiles, serverOptions }
}

/** Callers that ask while a diagnosis of the same profile runs share it: a client cannot make the daemon send many requests. */
function diagnoser({ host, env, config }: ServicesOptions): (profile: string | undefined) => Promise<Diagnosis> {
  const running = new Map<string, Promise<Diagnosis>>()
  return async (name) => {
    if (config instanceof ConfigurationError) throw config
    const profile = findProfile(config, name)
    const shared = running.get(profile.name)
    if (shared !== undefined) return await shared
    const one = import('./diagnose.ts')
      .then(({ diagnose }) => diagnose({ host, profile, openers: openerPaths(env) }))
      .finally(() => running.delete(profile.name))
    running.set(profile.name, one)
    return await one
  }
}

function createRegistry(config: Config | ConfigurationError, parts: AuthenticatorParts): ProfileRegistry {
  const { log } = parts
  if (config instanceof ConfigurationError) {
    const fail = () => {
      throw config
    }
    return new ProfileRegistry({ create: fail, defaultProfile: fail, log })
  }
  const create = authenticatorFactory(config, parts)
  return new ProfileRegistry({ create, defaultProfile: () => config.defaultProfile, log })
}
