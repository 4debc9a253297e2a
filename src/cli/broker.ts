// `cadzero-auth broker`: runs the server's part, with its configuration from the environment.
import { createBroker } from '../broker/broker.ts'
import { openLog } from '../broker/log.ts'
import { serveBroker } from '../broker/server.ts'
import { readSettings, SettingError } from '../broker/settings.ts'
import type { Context } from './context.ts'
import { UsageError } from './failure.ts'
import { print } from './terminal.ts'

const SECRETS = ['CLERK_SECRET_KEY', 'CADZERO_BROKER_KEY']

export async function runBroker({ host }: Context, options: { readonly generateKey?: boolean }): Promise<void> {
  if (options.generateKey) return print(host.random(32).toString('base64url'))
  const { options: brokerOptions, host: address, port } = settings()
  for (const name of SECRETS) delete process.env[name] // no child, report or dump of the environment shall have them
  const broker = createBroker({ ...brokerOptions, log: openLog(), clock: host.clock })
  const server = await serveBroker(broker, { host: address, port, clock: host.clock })
  print(`listening on ${server.url}`)
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve())
  })
  await server.close()
}

function settings() {
  try {
    return readSettings(process.env)
  } catch (error) {
    if (error instanceof SettingError) throw new UsageError(error.message, error.hint)
    throw error
  }
}
