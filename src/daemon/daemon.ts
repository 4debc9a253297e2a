// The composition root: brings store, provider, authenticators and RPC server together, and takes them down in order.

import { type Config, loadConfig } from '../config/config.ts'
import { ConfigurationError } from '../config/errors.ts'
import type { Folders } from '../config/paths.ts'
import { ensurePrivateFolder, FileError, sweepTemporaries } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import type { Lock } from '../host/lock.ts'
import { type Log, openLog } from '../log/log.ts'
import type { Status } from '../rpc/contract.ts'
import { RpcServer, type RpcServerOptions } from '../rpc/server.ts'
import { ProfileRegistry } from '../session/profile-registry.ts'
import type { ProfileStatus } from '../session/status.ts'
import { type AuthenticatorParts, authenticatorFactory } from './create-authenticator.ts'
import { Publication } from './discovery-publisher.ts'
import { createHandlers } from './handlers.ts'
import { claimInstance } from './single-instance.ts'

export interface DaemonOptions {
  readonly host: Host
  readonly folders: Folders
  readonly env: NodeJS.ProcessEnv
  readonly version: string
  /** Whether to take over from a daemon that runs. */
  readonly replace: boolean
  readonly passphrase: string | undefined
}

export type Started =
  | { readonly kind: 'already_running'; readonly pid: number }
  | { readonly kind: 'running'; readonly daemon: Daemon; readonly configurationError: ConfigurationError | undefined }

export interface Daemon {
  /** Ends it: calls that run finish, what is to be saved is saved, the discovery file goes. */
  stop(why: string): Promise<void>
  /** Resolves when it has ended, for whichever reason. */
  readonly stopped: Promise<void>
}

const LOG_SECONDS = 0.5 // the first callers come right after a start; what is to be logged can wait for them

/** @throws StuckDaemonError, LockError, FileError, ConfigurationError for the port, or a system error */
export async function startDaemon(options: DaemonOptions): Promise<Started> {
  const { host, folders, version } = options
  await Promise.all([folders.data, folders.log, folders.sessions].map((path) => ensurePrivateFolder(host.files, path)))
  await ensurePrivateFolder(host.files, folders.config)
  const { config, configurationError } = await readConfig(host, folders, options.env)
  const parts = compose(options, config ?? configurationError)
  await restrictFolders(host, folders, parts.log)
  const port = config?.port ?? 0
  // An ephemeral port is had while the lock is waited for; a fixed one may be the predecessor's until it has gone.
  const early = port === 0 ? listen(port, parts.serverOptions) : undefined
  early?.catch(() => undefined) // it is looked at below
  const instance = await claimInstance(host, folders, options.replace).catch(async (error: unknown) => {
    await (await early)?.close()
    throw error
  })
  if (instance.kind === 'second') {
    await (await early)?.close()
    return { kind: 'already_running', pid: instance.runningPid }
  }
  const listening = early ?? listen(port, parts.serverOptions)
  const { server, publication } = await open(options, parts, listening).catch(async (error: unknown) => {
    // A process that has failed to start must not hold the lock, or listen where nobody finds it.
    await (await listening.catch(() => undefined))?.close()
    await instance.lock.release()
    throw error
  })
  parts.log.info('started', { version, pid: process.pid, port: server.port })
  if (configurationError) parts.log.error('configuration', { setting: configurationError.setting })
  return { kind: 'running', daemon: run(options, parts, server, publication, instance.lock), configurationError }
}

/** @throws FileError where others may read what we are about to write */
async function restrictFolders(host: Host, folders: Folders, log: Log): Promise<void> {
  await Promise.all(
    [folders.config, folders.data, folders.log].map(async (path) => {
      const access = await host.restrictFolder(path)
      if (access === 'open') throw new FileError('too_open', path)
      if (access === 'unknown') log.warn('rights_unknown')
    }),
  )
}

async function open({ host, folders, version }: DaemonOptions, parts: Parts, listening: Promise<RpcServer>) {
  listening.catch(() => undefined) // it is looked at below
  // Only the one daemon may sweep: what looks left over may be another's write that is under way.
  await Promise.all([folders.data, folders.sessions].map((path) => sweepTemporaries(host.files, path)))
  void parts.profiles.loadDefault() // while the rest of the start waits for the disk
  const server = await listening
  const publication = new Publication(host, folders, server, version)
  await publication.renew()
  return { server, publication }
}

interface Parts {
  readonly log: Log
  readonly profiles: ProfileRegistry
  readonly serverOptions: Omit<RpcServerOptions, 'port'>
  /** What the parts call when the daemon runs. */
  readonly hooks: { notify: RpcServer['notify']; stop: (why: string) => void }
  /** Opens the log's file. */
  readonly openLogFile: () => void
}

/** Makes the parts and ties them to each other; nothing is touched outside the process yet. */
function compose({ host, folders, version, passphrase }: DaemonOptions, config: Config | ConfigurationError): Parts {
  const hooks: Parts['hooks'] = { notify: () => undefined, stop: () => undefined }
  let openLogFile: () => void = () => undefined
  const mayOpen = new Promise<void>((resolve) => {
    openLogFile = resolve
  })
  const log = openLog(folders.log, config instanceof ConfigurationError ? 'info' : config.logLevel, mayOpen)
  const startedAt = host.clock.monotonic()
  const uptime = () => Math.floor(host.clock.monotonic() - startedAt)
  const withDaemon = (status: ProfileStatus): Status => ({
    ...status,
    daemon: { version, pid: process.pid, uptimeSeconds: uptime() },
  })
  const onChange = (status: ProfileStatus) => hooks.notify('sessionChanged', withDaemon(status))
  const profiles = createRegistry(config, { host, folders, log, passphrase, onChange })
  const methods = createHandlers({
    authenticator: (profile) => profiles.get(profile),
    describe: (authenticator) => withDaemon(authenticator.status()),
    discover: async () => (await import('../rpc/openrpc.ts')).openRpcDocument(version),
    shutdown: () => {
      hooks.stop('shutdown')
      return { pid: process.pid }
    },
  })
  const serverOptions: Parts['serverOptions'] = {
    methods,
    clock: host.clock,
    onRefused: (why) => log.debug('refused', { reason: why }),
    onInternalError: (error) =>
      log.error('internal_error', { reason: error instanceof Error ? error.name : 'unknown' }),
  }
  return { log, profiles, serverOptions, hooks, openLogFile }
}

/** @param config if it is an error, every profile answers with that error */
function createRegistry(config: Config | ConfigurationError, parts: AuthenticatorParts): ProfileRegistry {
  const { log } = parts
  if (!(config instanceof ConfigurationError)) {
    return new ProfileRegistry({
      create: authenticatorFactory(config, parts),
      defaultProfile: () => config.defaultProfile,
      log,
    })
  }
  const fail = () => {
    throw config
  }
  return new ProfileRegistry({ create: fail, defaultProfile: fail, log })
}

function run({ host }: DaemonOptions, parts: Parts, server: RpcServer, publication: Publication, lock: Lock): Daemon {
  const { log, profiles, hooks, openLogFile } = parts
  host.clock.after(LOG_SECONDS, openLogFile)
  const takeDown = async (why: string) => {
    log.info('stopping', { reason: why })
    profiles.stop()
    await server.close()
    await profiles.settled()
    await publication.close().catch(() => undefined)
    log.info('stopped')
    openLogFile()
    await log.close()
    await lock.release()
  }
  let hasStopped: () => void = () => undefined
  const stopped = new Promise<void>((resolve) => {
    hasStopped = resolve
  })
  let stopping: Promise<void> | undefined
  const stop = (why: string) => {
    // What fails on the way down must not keep the process: everything acknowledged is on disk.
    stopping ??= takeDown(why)
      .catch(() => undefined)
      .finally(hasStopped)
    return stopping
  }
  hooks.notify = (method, params) => server.notify(method, params)
  hooks.stop = (why) => void stop(why)
  publication.watch(() => void stop('superseded'))
  return { stop, stopped }
}

/** A daemon with a broken configuration still runs: it alone can tell the add-in's user what to mend. */
async function readConfig(host: Host, folders: Folders, env: NodeJS.ProcessEnv) {
  try {
    const config: Config = await loadConfig(host.files, folders.configFile, env)
    return { config, configurationError: undefined }
  } catch (error) {
    if (error instanceof ConfigurationError) return { config: undefined, configurationError: error }
    throw error
  }
}

async function listen(port: number, options: Omit<RpcServerOptions, 'port'>): Promise<RpcServer> {
  try {
    return await RpcServer.listen({ ...options, port })
  } catch (error) {
    const taken = error instanceof Error && 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES')
    throw taken ? new ConfigurationError('port', `a port that no other program uses (${port} is taken), or 0`) : error
  }
}
