// The daemon as a process: refuses an unsafe environment, is hardened before it holds a secret, and ends on a signal.
import { ignoreHangUp } from '../host/signals.ts'
import { type DaemonOptions, type StartResult, startDaemon } from './daemon.ts'
import { hardenProcess, onEnd, unwantedVariable } from './process-hardening.ts'

export interface ProcessOptions extends Omit<DaemonOptions, 'passphrase'> {
  /** Whether this Node obeys NODE_OPTIONS. A single executable does not. */
  readonly heedsNodeOptions: boolean
  /** Called once the process is hardened. */
  readonly readPassphrase: () => Promise<string | undefined>
}

export type StartedProcess = StartResult | { readonly kind: 'unsafe_environment'; readonly variable: string }

/**
 * Deletes the passphrase from `env`, so that no child process inherits it.
 * @throws as `startDaemon` does
 */
export async function startDaemonProcess(options: ProcessOptions): Promise<StartedProcess> {
  const { heedsNodeOptions, readPassphrase, ...rest } = options
  const variable = unwantedVariable(rest.env, heedsNodeOptions)
  if (variable !== undefined) return { kind: 'unsafe_environment', variable }
  hardenProcess()
  ignoreHangUp(rest.env)
  const passphrase = await readPassphrase()
  delete rest.env.CADZERO_AUTH_PASSPHRASE
  const started = await startDaemon({ ...rest, passphrase })
  if (started.kind === 'running') onEnd((signal) => void started.daemon.stop(signal), rest.env)
  return started
}
