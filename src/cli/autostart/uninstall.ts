// `cadzero-auth service uninstall [--purge]`: runs the uninstaller and prints what it did.
import { type KeptKey, type UninstallWarning, uninstall } from '../../daemon/uninstall.ts'
import type { Context } from '../context.ts'
import { connectToDaemon } from '../daemon-connection.ts'
import { note, print, printJson } from '../terminal.ts'
import { managerOfThisComputer } from './this-computer.ts'

export interface UninstallArguments {
  readonly json?: boolean
  readonly purge?: boolean
}

export async function uninstallService(
  context: Context,
  { json = false, purge = false }: UninstallArguments,
): Promise<void> {
  const manager = managerOfThisComputer(context)
  const { hadEntry, keptKey } = await uninstall({
    ...context,
    env: process.env,
    purge,
    connectToDaemon: () => connectToDaemon(context, true),
    removeEntry: () => manager.uninstall(),
    onWarning: (warning) => note(`warning: ${warningText(warning)}`),
  })
  const kept = keptKey === undefined ? [] : [keptKeyText(keptKey)]
  if (json) return printJson({ uninstalled: hadEntry, purged: purge, kept })
  print(hadEntry ? `uninstalled: ${manager.place}` : 'it was not installed')
  if (!purge) print('the session, its key and the configuration are kept; --purge removes them as well')
  for (const text of kept) print(`kept: ${text}`)
}

function warningText(warning: UninstallWarning): string {
  return warning.kind === 'not_revoked'
    ? `the provider did not confirm that the session of ${warning.profile} is revoked`
    : 'no daemon could be started to revoke the sessions at the provider'
}

function keptKeyText(kept: KeptKey): string {
  return kept.kind === 'in_use'
    ? `the key in the keyring, since it decrypts the sessions in ${kept.sessions}`
    : 'the key in the keyring, which is locked; unlock it and try again'
}
