// Starts the daemon: folders, configuration, services, lock, port, discovery file. The composition root of the process.
import { type Config, loadConfig } from '../config/config.ts'
import { ConfigurationError } from '../config/errors.ts'
import type { Folders } from '../config/paths.ts'
import { errorCode } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import type { Lock } from '../host/lock.ts'
import { RpcServer, type RpcServerOptions } from '../rpc/server.ts'
import { DiscoveryPublisher } from './discovery-publisher.ts'
import { makeFolders, restrictFolders, sweepFolders } from './folders.ts'
import { RunningDaemon } from './running-daemon.ts'
import { createServices, type Services } from './services.ts'
import { claimInstance } from './single-instance.ts'

export interface DaemonOptions {
  readonly host: Host
  readonly folders: Folders
  readonly env: NodeJS.ProcessEnv
  readonly version: string
  /** The short commit that the program was built from; null if it is not known. */
  readonly commit: string | null
  /** Whether to end a running daemon and take its place. */
  readonly replace: boolean
  /** Protects the store key, if the configuration says so. */
  readonly passphrase: string | undefined
}

export interface Daemon {
  /** Ends the daemon: running calls finish, sessions are saved, the discovery file is removed. Never throws. */
  stop(reason: string): Promise<void>
  /** Resolves when the daemon has ended, for any reason. */
  readonly stopped: Promise<void>
}

export type StartResult =
  | { readonly kind: 'already_running'; readonly pid: number }
  /** With a configuration error the daemon runs all the same: it reports the error to every client that calls. */
  | { readonly kind: 'running'; readonly daemon: Daemon; readonly configurationError: ConfigurationError | undefined }

/** @throws StuckDaemonError, LockError, FileError, ConfigurationError if the port is taken, or a system error */
export async function startDaemon(options: DaemonOptions): Promise<StartResult> {
  const { host, folders, env, version, commit, passphrase } = options
  await makeFolders(host, folders)
  const { config, configurationError } = await readConfig(options)
  let daemon: RunningDaemon | undefined
  let shutdownAsked = false
  const services = createServices({
    ...{ host, folders, env, version, commit, passphrase },
    config: config ?? configurationError,
    notify: (name, params) => daemon?.notify(name, params),
    onShutdown: () => {
      shutdownAsked = true
      void daemon?.stop('shutdown')
    },
  })
  await restrictFolders(host, folders, services.log)
  const claim = await claimAndListen(options, config?.port ?? 0, services.serverOptions)
  if (claim.kind === 'second') return { kind: 'already_running', pid: claim.runningPid }
  const { server, publisher } = await publish(options, services, claim)
  services.log.info('started', { version, pid: process.pid, port: server.port })
  if (configurationError) services.log.error('configuration_error', { setting: configurationError.setting })
  daemon = new RunningDaemon(host.clock, services, server, publisher, claim.lock)
  if (shutdownAsked) void daemon.stop('shutdown') // by a client that was faster than the rest of the start
  return { kind: 'running', daemon, configurationError }
}

type ConfigResult =
  | { readonly config: Config; readonly configurationError: undefined }
  | { readonly config: undefined; readonly configurationError: ConfigurationError }

/** @throws FileError, or a system error */
async function readConfig({ host, folders, env }: DaemonOptions): Promise<ConfigResult> {
  try {
    return { config: await loadConfig(host.files, folders.configFile, env), configurationError: undefined }
  } catch (error) {
    if (error instanceof ConfigurationError) return { config: undefined, configurationError: error }
    throw error
  }
}

interface Claimed {
  readonly lock: Lock
  readonly listening: Promise<RpcServer>
}

type Claim = ({ readonly kind: 'first' } & Claimed) | { readonly kind: 'second'; readonly runningPid: number }

/**
 * Claims the lock of the one daemon and starts to listen. An ephemeral port is opened while this process waits for the lock;
 * a fixed one only afterwards, since the daemon that is replaced may still have it.
 */
async function claimAndListen(
  { host, folders, replace }: DaemonOptions,
  port: number,
  serverOptions: Services['serverOptions'],
): Promise<Claim> {
  const early = port === 0 ? listen(port, serverOptions) : undefined
  try {
    const instance = await claimInstance(host, folders, replace)
    if (instance.kind === 'first') return { ...instance, listening: early ?? listen(port, serverOptions) }
    await closeServer(early)
    return instance
  } catch (error) {
    await closeServer(early)
    throw error
  }
}

/** Lets clients find the daemon. If that fails, the port and the lock are released for another try. */
async function publish({ host, folders, version }: DaemonOptions, { profiles }: Services, claimed: Claimed) {
  try {
    await sweepFolders(host, folders)
    void profiles.loadDefault() // while the rest of the start waits for the disk
    const server = await claimed.listening
    const publisher = new DiscoveryPublisher(host, folders, server, version)
    await publisher.publish()
    return { server, publisher }
  } catch (error) {
    await closeServer(claimed.listening)
    await claimed.lock.release()
    throw error
  }
}

/** @returns a promise that the caller may leave alone for a while: a rejection is no unhandled one */
function listen(port: number, options: Omit<RpcServerOptions, 'port'>): Promise<RpcServer> {
  const listening = RpcServer.listen({ ...options, port }).catch((error: unknown) => {
    const isTaken = ['EADDRINUSE', 'EACCES'].includes(errorCode(error) ?? '')
    throw isTaken ? new ConfigurationError('port', `a port that no other program uses (${port} is taken), or 0`) : error
  })
  listening.catch(() => undefined)
  return listening
}

async function closeServer(listening: Promise<RpcServer> | undefined): Promise<void> {
  const server = await listening?.catch(() => undefined)
  await server?.close()
}
