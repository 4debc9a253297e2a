// `cadzero-auth daemon`: runs the daemon in the foreground, or ends the one that runs.
import { isSea } from 'node:sea'
import { startDaemon } from '../daemon/daemon.ts'
import { hardenProcess, onEnd, unwantedVariable } from '../daemon/process-hardening.ts'
import { endDaemon } from '../daemon/single-instance.ts'
import type { Context } from './context.ts'
import { UsageError } from './failure.ts'
import { note, print, printError } from './terminal.ts'
import { version } from './version.ts'

export interface DaemonArguments {
  readonly replace: boolean
  readonly stop: boolean
  readonly passphraseStdin: boolean
}

export async function runDaemon(context: Context, { replace, stop, passphraseStdin }: DaemonArguments): Promise<void> {
  if (stop) return await stopDaemon(context)
  const unwanted = unwantedVariable(process.env, !isSea())
  if (unwanted !== undefined) {
    throw new UsageError(`the daemon does not run with this ${unwanted}`, `start it without (env -u ${unwanted} …)`)
  }
  hardenProcess()
  const { host, folders } = context
  const passphrase = passphraseStdin ? await readAll(process.stdin) : process.env.CADZERO_AUTH_PASSPHRASE
  delete process.env.CADZERO_AUTH_PASSPHRASE
  const started = await startDaemon({
    host,
    folders,
    env: process.env,
    version,
    replace,
    passphrase: passphrase || undefined,
  })
  if (started.kind === 'already_running') {
    note(`a daemon is already running (process ${started.pid}); cadzero-auth daemon --replace takes over from it`)
    print(`ready ${folders.discoveryFile}`)
    return
  }
  const { daemon, configurationError } = started
  if (configurationError) {
    const { file, setting, expected } = configurationError
    printError(
      `${file ?? 'configuration'}: ${setting} is missing or wrong`,
      `it should be ${expected}; then cadzero-auth daemon --replace`,
    )
  }
  // Whoever started it in the background closes these once it is ready.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  onEnd((signal) => void daemon.stop(signal))
  process.on('uncaughtException', (error) => {
    // The name alone: a message may quote anything. Whatever was acknowledged is on disk.
    printError(`the daemon has failed: ${error.name}`, 'it is safe to start it again')
    process.exit(1)
  })
  print(`ready ${folders.discoveryFile}`)
  await daemon.stopped
  process.exit(0)
}

async function stopDaemon({ host, folders }: Context): Promise<void> {
  print(`stopped the daemon (process ${await endDaemon(host, folders)})`)
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk
  return text
}
