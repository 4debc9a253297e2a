// The broker as a process of its own: configured by environment variables, with its log on standard output.
import manifest from '../../package.json' with { type: 'json' }
import type { Clock } from '../host/clock.ts'
import type { FileSystem } from '../host/files.ts'
import type { Fetch } from '../host/network.ts'
import { createBroker } from './broker.ts'
import type { SettingProblem } from './environment.ts'
import { checkInstance } from './instance-check.ts'
import { type Log, openLog } from './log.ts'
import { Monitor, REDIS_HINT } from './monitor.ts'
import { openApiDocument } from './openapi.ts'
import { connectRedis, type RedisConnection } from './redis.ts'
import { ListenError, serveBroker } from './server.ts'
import { type BrokerSettings, readSecretFiles, readSettings, SECRETS, SettingsError } from './settings.ts'

export interface RunningBroker {
  readonly url: string
  /** @param drain whether to go on serving until load balancers have noticed */
  stop(drain: boolean): Promise<void>
}

export type StartedBroker =
  | { readonly kind: 'listening'; readonly broker: RunningBroker }
  | { readonly kind: 'wrong_setting'; readonly error: string; readonly hint: string }

export interface BrokerHost {
  readonly clock: Clock
  readonly fetch: Fetch
  readonly files: Pick<FileSystem, 'readFile' | 'stat'>
}

const UNKNOWN_HINT = 'compare the name with docs/broker.md and docs/broker-operations.md: this variable has no effect'
const CLERK_API = 'https://api.clerk.com'

/**
 * Deletes the secrets from `env`, so that no child process and no report contains them.
 */
export async function startBroker(env: NodeJS.ProcessEnv, host: BrokerHost): Promise<StartedBroker> {
  try {
    const found = await readSecretFiles(env, SECRETS, host.files)
    const settings = readSettings(found.env, found.problems)
    for (const name of SECRETS) delete env[name]
    const wrong = await checkInstance({ ...settings.options, apiUrl: settings.options.apiUrl ?? CLERK_API }, host.fetch)
    if (wrong.length > 0) throw new SettingsError(wrong)
    return { kind: 'listening', broker: await run(settings, host) }
  } catch (error) {
    if (error instanceof SettingsError) return { kind: 'wrong_setting', error: error.message, hint: error.hint }
    throw error
  }
}

async function run(settings: BrokerSettings, { clock }: BrokerHost): Promise<RunningBroker> {
  const { listener, metricsListener, trustedHops, drainSeconds } = settings
  const log = openLog()
  for (const variable of settings.unknown) log({ event: 'unknown_setting', variable, hint: UNKNOWN_HINT })
  const monitor = new Monitor()
  monitor.metrics.watchProcess()
  const redis = await openRedis(settings.redisUrl, log)
  const broker = createBroker({ ...settings.options, ...(redis ? { redis } : {}), monitor, log, clock })
  broker.start()
  const document = () => openApiDocument(manifest.version)
  const close = () => {
    broker.close()
    redis?.close()
  }
  const options = { ...listener, metricsListener, trustedHops, clock, monitor, document }
  const server = await serveBroker(broker, options).catch((error: unknown) => {
    close()
    throw error instanceof ListenError ? new SettingsError([listenProblem(error)]) : error
  })
  return {
    url: server.url,
    async stop(drain) {
      if (drain) {
        log({ event: 'draining' })
        await server.drain(drainSeconds)
      }
      await server.close()
      close()
    },
  }
}

/** The variable that is wrong if the broker cannot listen. */
function listenProblem({ code, isMetrics }: ListenError): SettingProblem {
  const prefix = isMetrics ? 'CADZERO_BROKER_METRICS' : 'CADZERO_BROKER'
  const [port, host] = [`${prefix}_PORT`, `${prefix}_HOST`]
  if (code === 'EADDRINUSE')
    return {
      variable: port,
      problem: 'is in use',
      hint: `set ${port} to a free port, or stop the program that uses it`,
    }
  if (code === 'EACCES')
    return { variable: port, problem: 'may not be used by this user', hint: `set ${port} to 1024 or more` }
  const hint = `set ${host} to an address of this computer without a port: 127.0.0.1, or 0.0.0.0 for all of them`
  return { variable: host, problem: `cannot be listened on (${code})`, hint }
}

async function openRedis(url: string | undefined, log: Log): Promise<RedisConnection | undefined> {
  if (url === undefined) return undefined
  return await connectRedis(url, (isUp) =>
    log(isUp ? { event: 'redis_connected' } : { event: 'redis_lost', hint: REDIS_HINT }),
  )
}
