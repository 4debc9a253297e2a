// `cadzero-auth service install`, `restart` and `status`: manages the daemon as a service of the user's session.
import type { Problem, ServiceManager, ServiceStatus } from '../../autostart/service-manager.ts'
import type { Endpoint } from '../../rpc/discovery.ts'
import type { Context } from '../context.ts'
import { CommandError } from '../failure.ts'
import { configuredKeyProtection } from '../key-protection.ts'
import { runningDaemon, waitForDaemon } from '../running-daemon.ts'
import { describeFields } from '../status-text.ts'
import { note, print, printJson } from '../terminal.ts'
import { version } from '../version.ts'
import { launchOfThisProgram, managerOfThisComputer } from './this-computer.ts'

export interface ServiceOptions {
  readonly json?: boolean
}

export async function installService(context: Context, options: ServiceOptions): Promise<void> {
  const manager = managerOfThisComputer(context)
  const before = await runningDaemon(context)
  const launch = await launchOfThisProgram(context)
  // The entry may be the same although the daemon is still the old one, after an update, or hangs.
  const isCurrent = before?.daemonVersion === version
  const started = await manager.install(launch)
  if (!started && !isCurrent) await manager.restart()
  const daemon = await requireDaemon(context, manager, started || !isCurrent ? before : undefined)
  noteLostVariables(context)
  if ((await configuredKeyProtection(context)) === 'passphrase') {
    note(
      'warning: a service cannot know the passphrase; without a service, a command passes it to the daemon it starts',
    )
  }
  if (options.json) return await showStatus(context, manager, options)
  const { place = manager.place } = await manager.status(launch)
  print(`${started ? 'installed' : 'already installed'}: ${manager.name} ${place}`)
  print(`the daemon is running (process ${daemon.pid}), and will start whenever you log on`)
}

const KEPT_VARIABLES = ['CADZERO_AUTH_HOME', 'CADZERO_AUTH_SERVICE']

/** The system starts the daemon without the variables of a shell. */
function noteLostVariables({ folders }: Context): void {
  const lost = Object.keys(process.env).filter((name) => /^CADZERO_AUTH_/.test(name) && !KEPT_VARIABLES.includes(name))
  if (lost.length === 0) return
  note(
    `note: the service does not get ${lost.join(', ')} from this shell; put such settings into ${folders.configFile}`,
  )
}

export async function restartService(context: Context, options: ServiceOptions): Promise<void> {
  const manager = managerOfThisComputer(context)
  const { installed } = await manager.status(await launchOfThisProgram(context))
  if (!installed) {
    throw new CommandError(
      'the service is not installed',
      'run cadzero-auth daemon --stop: the next command starts the daemon again; for a service, run cadzero-auth service install',
    )
  }
  const before = await runningDaemon(context)
  await manager.restart()
  const daemon = await requireDaemon(context, manager, before)
  if (options.json) return await showStatus(context, manager, options)
  print(`restarted the daemon (process ${daemon.pid})`)
}

export async function serviceStatus(context: Context, options: ServiceOptions): Promise<void> {
  await showStatus(context, managerOfThisComputer(context), options)
}

interface RunningDaemon {
  readonly pid: number
  readonly version: string
  /** Null if its version does not say. */
  readonly program: string | null
}

async function showStatus(context: Context, manager: ServiceManager, { json }: ServiceOptions): Promise<void> {
  const status = await manager.status(await launchOfThisProgram(context))
  const endpoint = await runningDaemon(context)
  const daemon =
    endpoint === undefined
      ? null
      : { pid: endpoint.pid, version: endpoint.daemonVersion, program: endpoint.program ?? null }
  if (json) printJson({ manager: manager.name, place: manager.place, ...status, daemon })
  else print(describeService(manager, status, daemon))
}

const PROBLEMS: Readonly<Record<Problem, string>> = {
  missing_target: 'stale: its program does not exist; run cadzero-auth service install to correct it',
  other_program: 'stale: it starts another copy of the program; run cadzero-auth service install to start this one',
  outdated: 'stale: another version or other folders; run cadzero-auth service install to update it',
}

function describeService(
  { name, place }: ServiceManager,
  { installed, place: placeFound, enabled, running, pid, command, problem }: ServiceStatus,
  daemon: RunningDaemon | null,
): string {
  const fields: [string, string][] = []
  if (installed) {
    fields.push(['service', `${name}, ${enabled ? 'enabled' : 'not enabled'}`])
    fields.push(['entry', placeFound ?? place], ['starts', command.join(' ')])
    if (running !== null) fields.push(['state', running ? `running, process ${pid ?? '-'}` : 'not running'])
    if (problem !== null) fields.push(['problem', PROBLEMS[problem]])
  } else fields.push(['service', 'not installed'])
  const isSupervised = installed && running !== null
  const outside = daemon && isSupervised && daemon.pid !== pid ? ', outside the service' : ''
  fields.push(['daemon', daemon ? `responds: ${daemon.version}, process ${daemon.pid}${outside}` : 'does not respond'])
  if (daemon?.program) fields.push(['program', daemon.program])
  return describeFields(fields)
}

/**
 * @param replaced the daemon that ends meanwhile, if any
 * @throws CommandError if none responds, FileError
 */
async function requireDaemon(
  context: Context,
  manager: ServiceManager,
  replaced: Endpoint | undefined,
): Promise<Endpoint> {
  const daemon = await waitForDaemon(context, ({ instance }) => instance !== replaced?.instance)
  if (daemon) return daemon
  const journal = process.platform === 'linux' ? ', or journalctl --user --unit cadzero-auth,' : ''
  throw new CommandError(
    `the service is installed (${manager.place}), but its daemon does not respond`,
    `run cadzero-auth daemon --replace${journal} to see why it does not start`,
  )
}
