// `cadzero-auth broker`: runs the broker until a signal ends it, or prints a new key for it.
import { startBroker } from '../broker/process.ts'
import { ignoreHangUp } from '../host/signals.ts'
import type { Context } from './context.ts'
import { UsageError } from './failure.ts'
import { print } from './terminal.ts'

const KEY_BYTES = 32

export async function runBroker({ host }: Context, options: { readonly generateKey?: boolean }): Promise<void> {
  if (options.generateKey) return print(host.random(KEY_BYTES).toString('base64url'))
  ignoreHangUp(process.env)
  // From the start: as process 1 of a container, a signal without a listener is lost.
  const signals = ['SIGTERM', 'SIGINT'] as const
  const ended = new Promise<(typeof signals)[number]>((resolve) => {
    for (const signal of signals) process.once(signal, resolve)
  })
  const started = await startBroker(process.env, host)
  if (started.kind === 'wrong_setting') throw new UsageError(started.error, started.hint)
  print(`listening on ${started.broker.url}`)
  const signal = await ended
  // A second signal ends the process at once, as without a listener.
  for (const other of signals) process.removeAllListeners(other)
  await started.broker.stop(signal === 'SIGTERM')
}
