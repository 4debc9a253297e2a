// The broker as a process of its own: configured by environment variables, with its log on standard output.
import type { Clock } from '../host/clock.ts'
import type { FileSystem } from '../host/files.ts'
import { createBroker } from './broker.ts'
import { openLog } from './log.ts'
import { Monitor } from './monitor.ts'
import { type BrokerServer, serveBroker } from './server.ts'
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
  readonly files: Pick<FileSystem, 'readFile' | 'stat'>
}

/**
 * Deletes the secrets from `env`, so that no child process and no report contains them.
 * @throws a system error if a port is in use
 */
export async function startBroker(env: NodeJS.ProcessEnv, host: BrokerHost): Promise<StartedBroker> {
  try {
    const settings = readSettings(await readSecretFiles(env, SECRETS, host.files))
    for (const name of SECRETS) delete env[name]
    return { kind: 'listening', broker: await run(settings, host) }
  } catch (error) {
    if (error instanceof SettingsError) return { kind: 'wrong_setting', error: error.message, hint: error.hint }
    throw error
  }
}

async function run(settings: BrokerSettings, { clock }: BrokerHost): Promise<RunningBroker> {
  const monitor = new Monitor()
  monitor.metrics.watchProcess()
  const broker = createBroker({ ...settings.options, log: openLog(), clock })
  const { listener, metricsListener, trustedHops, drainSeconds } = settings
  const server: BrokerServer = await serveBroker(broker, { ...listener, metricsListener, trustedHops, clock, monitor })
  return {
    url: server.url,
    async stop(drain) {
      if (drain) await server.drain(drainSeconds)
      await server.close()
    },
  }
}
