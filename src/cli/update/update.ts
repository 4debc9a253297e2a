// `cadzero-auth update [--check]`: replaces this program by a newer release, for those who have installed it by hand.
import { isSea } from 'node:sea'
import { type Config, loadConfig } from '../../config/config.ts'
import { DownloadError } from '../../host/download.ts'
import { NetworkError } from '../../host/network.ts'
import { systemRun } from '../../host/run.ts'
import { systemVersion, targetName } from '../../host/system-version.ts'
import { systemProxyPassword } from '../../store/proxy-password.ts'
import type { Decision } from '../../update/decision.ts'
import { ownerOf } from '../../update/owner.ts'
import { type InstalledProgram, ProgramFiles } from '../../update/program-files.ts'
import { exclusively, findUpdate, finishInterrupted, installUpdate, type Updater } from '../../update/update.ts'
import { windowlessExecutable } from '../autostart/this-computer.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { CommandError } from '../failure.ts'
import { networkHint } from '../network-hint.ts'
import { note, print, printJson } from '../terminal.ts'
import { commitTime, version } from '../version.ts'
import { updateKey } from './key.ts'
import { refusalError } from './refusal.ts'
import { requireKey, requireSavedSessions, takeOver } from './take-over.ts'

export interface UpdateOptions {
  readonly check?: boolean
  readonly json?: boolean
}

/** @throws CommandError, UpdateError, ConfigurationError, FileError, LockError, or a system error */
export async function update(context: Context, { check = false, json = false }: UpdateOptions): Promise<void> {
  const { updater, config } = await createUpdater(context)
  if (check) return showFound(await found(updater), json)
  await requireSavedSessions(context, config)
  if (config.keyProtection === 'passphrase') await requireKey(context, 'passphrase')
  await exclusively(updater, async () => {
    const done = await finishInterrupted(updater)
    if (done !== undefined) note(`note: an update that had been interrupted was ${done}`)
    const decision = await found(updater)
    if (decision.kind === 'available') {
      note(`installing ${decision.version} (this is ${version})`)
      await installUpdate(updater, decision.version, decision.programs).catch(explainNetwork)
    }
    showInstalled(decision, json)
  })
}

/** @throws CommandError if this program does not update itself, or has no address to look at */
async function createUpdater(context: Context): Promise<{ updater: Updater; config: Config }> {
  const { host, folders } = context
  const programs = await findPrograms(context)
  if (updateKey === undefined) {
    throw new CommandError(
      'this build has no key for updates',
      'install the newer version as you have installed this one',
    )
  }
  const config = await loadConfig(host.files, folders.configFile, process.env)
  if (config.updateUrl === undefined) {
    const hint = `set updateUrl in ${folders.configFile} to the address of update.json`
    throw new CommandError('no address for updates is configured', hint)
  }
  host.network.configure({ ...config, proxyPassword: (proxy) => systemProxyPassword(host.clock).read(proxy) })
  const names = programs.programs.map(({ name }) => name)
  const builtAt = commitTime === null ? null : Date.parse(commitTime) / 1000
  const updater: Updater = {
    files: host.files,
    clock: host.clock,
    download: host.download,
    url: new URL(config.updateUrl),
    publicKey: updateKey,
    program: { version, builtAt, target: targetName(), names, system: systemVersion() },
    seenFile: folders.updateFile,
    programs,
    versionOf: (path) => versionOf(context, path),
    takeOver: (wanted) => takeOver(context, config, wanted),
  }
  return { updater, config }
}

/** @throws CommandError if something else updates this program */
async function findPrograms({ host: { files, program: own }, folders }: Context): Promise<ProgramFiles> {
  const { platform } = process
  const program = await files.realpath(own)
  const owner = await ownerOf({
    files,
    platform,
    program,
    isExecutable: isSea(),
    version,
    markFile: folders.installerFile,
  })
  if (owner) throw new CommandError(`${owner.name} updates this program`, owner.hint)
  const main: InstalledProgram = { path: program, name: platform === 'win32' ? 'cadzero-auth.exe' : 'cadzero-auth' }
  const windowless = await windowlessExecutable(files, program)
  if (windowless === program) return new ProgramFiles(files, [main])
  return new ProgramFiles(files, [{ path: windowless, name: 'cadzero-authd.exe' }, main])
}

async function versionOf({ host }: Context, path: string): Promise<string | undefined> {
  const { status, stdout } = await systemRun(host.clock, process.env)(path, ['version', '--json'])
  if (status !== 0) return undefined
  try {
    return String((JSON.parse(stdout) as { version?: unknown }).version)
  } catch {
    return undefined
  }
}

type Usable = Exclude<Decision, { kind: 'refused' }>

/** @throws CommandError if the release is refused, or the address cannot be reached */
async function found(updater: Updater): Promise<Usable> {
  const decision = await findUpdate(updater).catch(explainNetwork)
  if (decision.kind === 'refused') throw refusalError(decision)
  return decision
}

function explainNetwork(error: unknown): never {
  if (error instanceof NetworkError) {
    const hint = networkHint({ ...error.failure, server: 'the server of updates' }) ?? 'try again'
    throw new CommandError(`no update was downloaded: ${error.message} (${error.failure.cause})`, hint)
  }
  if (error instanceof DownloadError) {
    throw new CommandError(`no update was downloaded: ${error.message}`, 'check updateUrl in config.json, or try again')
  }
  throw error
}

function showFound(decision: Usable, json: boolean): void {
  const available = decision.kind === 'available' ? decision.version : null
  if (available !== null) process.exitCode = EXIT.updateAvailable
  if (json) printJson({ version, available })
  else print(available === null ? `${version} is the newest version` : `${available} is available; this is ${version}`)
}

function showInstalled(decision: Usable, json: boolean): void {
  const installed = decision.kind === 'available' ? decision.version : null
  if (json) printJson({ version, installed })
  else print(installed === null ? `${version} is the newest version` : `updated ${version} to ${installed}`)
}
