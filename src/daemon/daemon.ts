// The composition root: brings store, provider, authenticators and RPC server together, and takes them down in order.
import { ensurePrivateFolder, sweepTemporaries } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { randomText } from '../host/random.ts'
import type { Result } from '../rpc/contract.ts'
import { type Endpoint, removeEndpoint, writeEndpoint } from '../rpc/discovery.ts'
import { RpcServer } from '../rpc/server.ts'
import { Authenticators } from './authenticators.ts'
import { type Config, loadConfig } from './config.ts'
import { ConfigurationError } from './errors.ts'
import type { Folders } from './folders.ts'
import { createHandlers } from './handlers.ts'
import { becomeInstance } from './instance.ts'
import { openLog } from './log.ts'

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
  readonly endpoint: Endpoint
  /** Ends it: calls that run finish, what is to be saved is saved, the discovery file goes. */
  stop(why: string): Promise<void>
  /** Resolves when it has ended, for whichever reason. */
  readonly stopped: Promise<void>
}

const PATH = '/rpc'
const LOG_SECONDS = 0.5 // the first callers come right after a start; what is to be logged can wait for them

/** @throws StuckDaemonError, LockError, FileError, ConfigurationError for the port, or a system error */
export async function startDaemon(options: DaemonOptions): Promise<Started> {
  const { host, folders, env, version } = options
  await Promise.all([folders.data, folders.log, folders.config].map((path) => ensurePrivateFolder(host.files, path)))
  await ensurePrivateFolder(host.files, folders.sessions)
  const [instance, { config, configurationError }] = await Promise.all([
    becomeInstance(host, folders, options.replace),
    readConfig(host, folders, env),
  ])
  if (instance.kind === 'second') return { kind: 'already_running', pid: instance.runningPid }
  // Only the one daemon may sweep: what looks left over may be another's write that is under way.
  await Promise.all([folders.data, folders.sessions].map((path) => sweepTemporaries(host.files, path)))

  let hasStarted: () => void = () => undefined
  const started = new Promise<void>((resolve) => {
    hasStarted = resolve
  })
  const log = openLog(folders.log, config?.logLevel ?? 'info', started)
  const startedAt = host.clock.monotonic()
  const about = { version, pid: process.pid }
  const daemonStatus = () => ({ ...about, uptimeSeconds: Math.floor(host.clock.monotonic() - startedAt) })
  let server: RpcServer | undefined
  const authenticators = new Authenticators({
    host,
    folders,
    log,
    config: config ?? (configurationError as ConfigurationError),
    passphrase: options.passphrase,
    onChange: (status) => server?.notify('sessionChanged', { ...status, daemon: daemonStatus() }),
  })
  authenticators.loadDefault() // while the rest of the start waits for the disk
  let stop: (why: string) => Promise<void> = () => Promise.resolve()
  server = await listen(config?.port ?? 0, {
    methods: createHandlers({
      authenticator: (profile) => authenticators.get(profile),
      describe: (one): Result<'status'> => ({ ...one.status(), daemon: daemonStatus() }),
      discover: async () => (await import('../rpc/openrpc.ts')).openRpcDocument(version),
      shutdown: () => {
        void stop('shutdown')
        return { pid: process.pid }
      },
    }),
    clock: host.clock,
    onRefused: (why) => log.debug('refused', { reason: why }),
    onInternalError: (error) =>
      log.error('internal_error', { reason: error instanceof Error ? error.name : 'unknown' }),
  }).catch(async (error: unknown) => {
    await instance.lock.release()
    throw error
  })
  const endpoint = createEndpoint(host, server.port, version)
  await writeEndpoint(host.files, folders.discoveryFile, endpoint)
  server.open(endpoint)
  log.info('started', { ...about, port: server.port })
  if (configurationError) log.error('configuration', { setting: configurationError.setting })
  host.clock.after(LOG_SECONDS, hasStarted)

  const running = server
  const stopped = new Promise<void>((resolve) => {
    let stopping: Promise<void> | undefined
    stop = (why) => {
      stopping ??= takeDown(why).finally(resolve)
      return stopping
    }
  })
  const takeDown = async (why: string) => {
    log.info('stopping', { reason: why })
    authenticators.stopWaiting()
    await running.close()
    await authenticators.settled()
    hasStarted()
    await removeEndpoint(host.files, folders.discoveryFile, endpoint.instance).catch(() => undefined)
    log.info('stopped')
    await log.close()
    await instance.lock.release()
  }
  return { kind: 'running', daemon: { endpoint, stop, stopped }, configurationError }
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

async function listen(port: number, options: Omit<Parameters<typeof RpcServer.listen>[0], 'port'>): Promise<RpcServer> {
  try {
    return await RpcServer.listen({ ...options, port })
  } catch (error) {
    const taken = error instanceof Error && 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES')
    throw taken ? new ConfigurationError('port', `a port that no other program uses (${port} is taken), or 0`) : error
  }
}

function createEndpoint(host: Host, port: number, version: string): Endpoint {
  return {
    version: 1,
    pid: process.pid,
    endpoint: `127.0.0.1:${port}`,
    path: PATH,
    instance: randomText(host.random, 16),
    key: randomText(host.random, 32),
    startedAt: new Date(host.clock.now() * 1000).toISOString(),
    daemonVersion: version,
  }
}
