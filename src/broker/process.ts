// The broker as a process of its own: configured by environment variables, with its log on standard output.
import type { Clock } from '../host/clock.ts'
import { createBroker } from './broker.ts'
import { openLog } from './log.ts'
import { type BrokerServer, serveBroker } from './server.ts'
import { type BrokerSettings, readSettings, SettingError } from './settings.ts'

export type StartedBroker =
  | { readonly kind: 'listening'; readonly server: BrokerServer }
  | { readonly kind: 'wrong_setting'; readonly error: string; readonly hint: string }

const SECRETS = ['CLERK_SECRET_KEY', 'CADZERO_BROKER_KEY']

/**
 * Deletes the secrets from `env`, so that no child process and no report contains them.
 * @throws a system error if the port is in use
 */
export async function startBroker(env: NodeJS.ProcessEnv, clock: Clock): Promise<StartedBroker> {
  let settings: BrokerSettings
  try {
    settings = readSettings(env)
  } catch (error) {
    if (error instanceof SettingError) return { kind: 'wrong_setting', error: error.message, hint: error.hint }
    throw error
  }
  for (const name of SECRETS) delete env[name]
  const broker = createBroker({ ...settings.options, log: openLog(), clock })
  const server = await serveBroker(broker, { host: settings.host, port: settings.port, clock })
  return { kind: 'listening', server }
}
