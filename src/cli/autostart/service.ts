// `cadzero-auth service …`: enters the daemon into what starts programs at log-on, looks after it, and takes it out again.

import type { ServiceManager, ServiceStatus } from '../../autostart/service-manager.ts'
import { connect, NoDaemonError } from '../../rpc/client.ts'
import type { Endpoint } from '../../rpc/discovery.ts'
import type { Context } from '../context.ts'
import { CommandError } from '../failure.ts'
import { keyProtection } from '../key-protection.ts'
import { note, print, printJson } from '../terminal.ts'
import { managerOf, ownLaunch } from './machine.ts'

export interface ServiceOptions {
  readonly json?: boolean
}

const ANSWER_SECONDS = 40 // one that is replaced has 20 for its calls, and a keyring may ask a person
const LOOK_SECONDS = 0.1

export async function installService(context: Context, options: ServiceOptions): Promise<void> {
  const manager = managerOf(context)
  const before = await runningDaemon(context)
  const started = await manager.install(await ownLaunch(context))
  const daemon = await waitForDaemon(context, manager, started ? before : undefined)
  noteSettings(context)
  if ((await keyProtection(context)) === 'passphrase') {
    note(
      'warning: the service cannot know the passphrase; without a service, a command hands it to the daemon it starts',
    )
  }
  if (options.json) return await showStatus(context, manager, options)
  print(`${started ? 'installed' : 'it is installed already'}: ${manager.name} ${manager.place}`)
  print(`the daemon runs (process ${daemon.pid}), and starts whenever you log on`)
}

/** What a shell has set is not there at log-on. */
function noteSettings({ folders }: Context): void {
  const kept = ['CADZERO_AUTH_HOME', 'CADZERO_AUTH_SERVICE']
  const lost = Object.keys(process.env).filter((name) => /^CADZERO_AUTH_/.test(name) && !kept.includes(name))
  if (lost.length === 0) return
  note(`note: the service does not have ${lost.join(', ')} from this shell; its settings are in ${folders.configFile}`)
}

export async function restartService(context: Context, options: ServiceOptions): Promise<void> {
  const manager = managerOf(context)
  const { installed } = await manager.status(await ownLaunch(context))
  if (!installed) throw new CommandError('the service is not installed', 'cadzero-auth service install')
  const before = await runningDaemon(context)
  await manager.restart()
  const daemon = await waitForDaemon(context, manager, before)
  if (options.json) return await showStatus(context, manager, options)
  print(`the daemon runs anew (process ${daemon.pid})`)
}

export async function serviceStatus(context: Context, options: ServiceOptions): Promise<void> {
  await showStatus(context, managerOf(context), options)
}

async function showStatus(context: Context, manager: ServiceManager, { json }: ServiceOptions): Promise<void> {
  const status = await manager.status(await ownLaunch(context))
  const daemon = await runningDaemon(context)
  const answers = daemon === undefined ? null : { pid: daemon.pid, version: daemon.daemonVersion }
  if (json) printJson({ manager: manager.name, place: manager.place, ...status, daemon: answers })
  else print(describe(manager, status, answers))
}

const PROBLEMS = {
  missing_target: 'stale: what it starts is no longer there; cadzero-auth service install mends it',
  other_program: 'stale: it starts another copy than this one; cadzero-auth service install makes it this one',
  outdated: 'stale: this program would enter it otherwise; cadzero-auth service install writes it anew',
} as const

function describe(
  { name, place }: ServiceManager,
  { installed, enabled, running, pid, command, problem }: ServiceStatus,
  daemon: { readonly pid: number; readonly version: string } | null,
): string {
  const lines = [['service', installed ? `${name}, ${enabled ? 'enabled' : 'not enabled'}` : 'not installed']]
  if (installed) {
    lines.push(['entry', place], ['starts', command.join(' ')])
    if (running !== null) lines.push(['state', running ? `running, process ${pid ?? '-'}` : 'not running'])
    if (problem !== null) lines.push(['problem', PROBLEMS[problem]])
  }
  const outside = daemon && running !== null && installed && daemon.pid !== pid ? ', outside the service' : ''
  lines.push(['daemon', daemon ? `answers: ${daemon.version}, process ${daemon.pid}${outside}` : 'does not answer'])
  return lines.map(([label, value]) => `${label?.padEnd(11)}${value}`).join('\n')
}

/** What the genuine daemon says of itself; undefined where none answers. @throws FileError */
async function runningDaemon({ host, folders }: Context): Promise<Endpoint | undefined> {
  try {
    const client = await connect(host.files, folders.discoveryFile, host.random)
    client.close()
    return client.endpoint
  } catch (error) {
    if (error instanceof NoDaemonError) return undefined
    throw error
  }
}

/**
 * @param before the daemon whose place is being taken
 * @throws CommandError, FileError
 */
async function waitForDaemon(context: Context, manager: ServiceManager, before: Endpoint | undefined) {
  const { clock } = context.host
  const deadline = clock.monotonic() + ANSWER_SECONDS
  for (;;) {
    const daemon = await runningDaemon(context)
    if (daemon && daemon.instance !== before?.instance) return daemon
    if (clock.monotonic() > deadline) break
    await clock.wait(LOOK_SECONDS)
  }
  const journal = process.platform === 'linux' ? '; so does journalctl --user --unit cadzero-auth' : ''
  throw new CommandError(
    `the service is installed (${manager.place}), but its daemon does not answer`,
    `cadzero-auth daemon --replace shows in the terminal what keeps it from starting${journal}`,
  )
}
