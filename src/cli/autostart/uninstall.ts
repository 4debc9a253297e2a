// `cadzero-auth service uninstall [--purge]`: runs the uninstaller and prints what it did.
import { ServiceError } from '../../autostart/errors.ts'
import type { ServiceManager, ServiceStatus } from '../../autostart/service-manager.ts'
import { type KeptKey, type LeftFile, type UninstallWarning, uninstall } from '../../daemon/uninstall.ts'
import type { Context } from '../context.ts'
import { connectToDaemon } from '../daemon-connection.ts'
import { unsavedText } from '../status-text.ts'
import { note, print, printJson } from '../terminal.ts'
import { launchOfThisProgram, managerOfThisComputer } from './this-computer.ts'

export interface UninstallArguments {
  readonly json?: boolean
  readonly purge?: boolean
}

export async function uninstallService(
  context: Context,
  { json = false, purge = false }: UninstallArguments,
): Promise<void> {
  const manager = findManager(context)
  const launch = await launchOfThisProgram(context)
  const before = await manager?.status(launch).catch(() => undefined) // one that cannot be read goes all the same
  const { hadEntry, ended, keptKey, removedKey, removed, left, hasFiles } = await uninstall({
    ...context,
    env: process.env,
    purge,
    connectToDaemon: () => connectToDaemon(context, true),
    removeEntry: async () => (await manager?.uninstall(launch)) ?? false,
    onWarning: (warning) => note(`warning: ${warningText(warning)}`),
  })
  const kept = [
    ...(keptKey === undefined ? [] : [keptKeyText(keptKey)]),
    ...left.map(leftFileText),
    ...otherEntryText(await manager?.status(launch)),
  ]
  const all = removedKey ? [...removed, 'the key in the keyring'] : removed
  if (json) return printJson({ uninstalled: hadEntry, purged: purge, removed: all, kept })
  print(hadEntry ? entryText(before?.place, manager?.place) : 'the service was not installed')
  if (ended !== undefined) print(`stopped the daemon (process ${ended})`)
  if (!purge && hasFiles) print('the session, its key and the configuration are kept; --purge removes them as well')
  else if (all.length === 0) print('no files were found to remove')
  for (const text of all) print(`removed: ${text}`)
  for (const text of kept) print(`kept: ${text}`)
}

/** Undefined, with a warning, if the computer has no service manager or no home folder: the files are removed all the same. */
function findManager(context: Context): ServiceManager | undefined {
  try {
    return managerOfThisComputer(context)
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    note(`warning: no service was looked for: ${error.message}`)
    return undefined
  }
}

/** The entry of a package stays for the other users. */
function entryText(entry: string | undefined, own: string | undefined): string {
  return entry === undefined || entry === own ? `uninstalled: ${own}` : `switched off for you alone: ${entry}`
}

function warningText(warning: UninstallWarning): string {
  switch (warning.kind) {
    case 'not_revoked':
      return `the provider did not confirm that the session of ${warning.profile} is revoked`
    case 'unsaved':
      return unsavedText(warning.profile)
    case 'no_daemon':
      return 'no daemon could be started to revoke the sessions at the provider'
  }
}

function leftFileText({ path, reason }: LeftFile): string {
  switch (reason) {
    case 'not_ours':
      return `${path}, which is damaged or of another program; delete it yourself if you do not need it`
    case 'other_installation':
      return `${path}, which belongs to another installation of cadzero-auth`
    case 'open':
      // This process may be the one: Windows removes no addon that is loaded, which the key in the keyring needs.
      return `${path}, which a running program has loaded; run cadzero-auth service uninstall to remove it`
    case 'in_use':
      return `${path}, which another installation of cadzero-auth uses as well`
  }
}

/** A package has entered another program for all users. */
function otherEntryText(entry: ServiceStatus | undefined): string[] {
  if (!entry?.installed) return []
  const program = entry.command.join(' ')
  return [`${entry.place}, which starts ${program}; run ${program} service uninstall to switch that off`]
}

function keptKeyText(kept: KeptKey): string {
  switch (kept.kind) {
    case 'in_use':
      return `the key in the keyring, since it decrypts the sessions in ${kept.sessions}`
    case 'no_home':
      return 'the key in the keyring, since sessions in the home folder may need it, and that folder is not known'
    case 'locked':
      return 'the key in the keyring, which is locked; unlock it and try again'
  }
}
