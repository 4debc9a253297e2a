// `cadzero-auth daemon`: runs the daemon in the foreground, or stops the one that is running.
import { isSea } from 'node:sea'
import type { ConfigurationError } from '../config/errors.ts'
import { startDaemonProcess } from '../daemon/process.ts'
import { endDaemon, explainNoDaemon } from '../daemon/single-instance.ts'
import { NoDaemonError } from '../rpc/client.ts'
import type { Context } from './context.ts'
import { failureOf, UsageError } from './failure.ts'
import { unsavedText } from './status-text.ts'
import { note, print, printError } from './terminal.ts'
import { commit, version } from './version.ts'

export interface DaemonArguments {
  readonly replace: boolean
  readonly stop: boolean
  readonly passphraseStdin: boolean
}

export async function runDaemon(context: Context, { replace, stop, passphraseStdin }: DaemonArguments): Promise<void> {
  if (stop) return await stopDaemon(context)
  const { host, folders } = context
  const started = await startDaemonProcess({
    host,
    folders,
    env: process.env,
    version,
    commit,
    replace,
    heedsNodeOptions: !isSea(),
    readPassphrase: () => readPassphrase(passphraseStdin),
  })
  if (started.kind === 'unsafe_environment') {
    const { variable } = started
    const hint = `run it without the variable: env -u ${variable} cadzero-auth daemon`
    throw new UsageError(`the daemon does not run with this ${variable}`, hint)
  }
  if (started.kind === 'already_running') {
    note(`a daemon is already running (process ${started.pid}); run cadzero-auth daemon --replace to replace it`)
    return print(`ready ${folders.discoveryFile}`)
  }
  if (started.configurationError) reportConfigurationError(started.configurationError)
  process.on('uncaughtException', (error) => {
    // Only the name: the message may hold anything.
    printError(
      `the daemon has crashed: ${error.name}`,
      'run cadzero-auth daemon to start it again; your session is kept',
    )
    process.exit(1)
  })
  print(`ready ${folders.discoveryFile}`)
  await started.daemon.stopped
  process.exit(0)
}

/** Undefined if there is none. */
async function readPassphrase(fromStdin: boolean): Promise<string | undefined> {
  if (!fromStdin) return process.env.CADZERO_AUTH_PASSPHRASE || undefined
  let text = ''
  for await (const chunk of process.stdin) text += chunk
  return text || undefined
}

function reportConfigurationError(configurationError: ConfigurationError): void {
  const { error, hint } = failureOf(configurationError)
  printError(error, `${hint}; then run cadzero-auth daemon --replace`)
}

async function stopDaemon({ host, folders }: Context): Promise<void> {
  const { pid, unsaved } = await endDaemon(host, folders).catch(async (error: unknown) => {
    throw error instanceof NoDaemonError ? await explainNoDaemon(error, host, folders) : error
  })
  print(`stopped the daemon (process ${pid})`)
  for (const profile of unsaved) note(`warning: ${unsavedText(profile)}`)
}
