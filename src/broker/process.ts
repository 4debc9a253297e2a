// The broker as a process of its own: configured by environment variables, with its log on standard output.
import manifest from '../../package.json' with { type: 'json' }
import type { Clock } from '../host/clock.ts'
import type { FileSystem } from '../host/files.ts'
import type { Fetch } from '../host/network.ts'
import { createBroker } from './broker.ts'
import { checkInstance } from './instance-check.ts'
import { type Log, openLog } from './log.ts'
import { Monitor } from './monitor.ts'
import { openApiDocument } from './openapi.ts'
import { connectRedis, type RedisConnection } from './redis.ts'
import { serveBroker } from './server.ts'
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

const CLERK_API = 'https://api.clerk.com'

/**
 * Deletes the secrets from `env`, so that no child process and no report contains them.
 * @throws a system error if a port is in use
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
  const monitor = new Monitor()
  monitor.metrics.watchProcess()
  const redis = await openRedis(settings.redisUrl, log)
  const broker = createBroker({ ...settings.options, ...(redis ? { redis } : {}), monitor, log, clock })
  broker.start()
  const document = () => openApiDocument(manifest.version)
  const server = await serveBroker(broker, { ...listener, metricsListener, trustedHops, clock, monitor, document })
  return {
    url: server.url,
    async stop(drain) {
      if (drain) {
        log({ event: 'draining' })
        await server.drain(drainSeconds)
      }
      await server.close()
      broker.close()
      redis?.close()
    },
  }
}

async function openRedis(url: string | undefined, log: Log): Promise<RedisConnection | undefined> {
  if (url === undefined) return undefined
  return await connectRedis(url, (isUp) => log({ event: isUp ? 'redis_connected' : 'redis_lost' }))
}
