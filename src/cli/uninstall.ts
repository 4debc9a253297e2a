// What `service uninstall` does beyond the service: the daemon's traces, and with --purge all that is kept for the person.
import { locateFolders } from '../config/paths.ts'
import { removeLeftovers } from '../daemon/uninstall.ts'
import { StoreError } from '../store/errors.ts'
import { systemKeyring } from '../store/keyring.ts'
import { type Context, withDaemon } from './context.ts'
import { keyProtection } from './key-protection.ts'
import { note } from './terminal.ts'

const SESSION_FILE = /^(.+)\.jwe$/

/** Ends the sessions at the provider too: a session whose last copy was deleted lives on there. Never throws. */
export async function signOutEverywhere(context: Context): Promise<void> {
  const profiles = (await sessionNames(context, context.folders.sessions)).map((name) => name.replace('.jwe', ''))
  if (profiles.length === 0) return
  try {
    await withDaemon(context, {}, async (client) => {
      for (const profile of profiles) {
        const revoked = await client.call('logout', { profile }).then(
          (result) => result.revoked,
          () => false,
        )
        if (!revoked) note(`warning: the provider did not confirm that the session of ${profile} has ended there`)
      }
    })
  } catch {
    note('warning: no daemon could be started, so that the provider was not told that the session has ended')
  }
}

/**
 * Removes the daemon's traces. It has ended.
 * @param everything whether the sessions, their key and the configuration go as well
 * @returns what could not or should not be removed, in words
 * @throws StuckDaemonError, LockError, or a system error
 */
export async function purge(context: Context, everything: boolean): Promise<string[]> {
  const protection = await keyProtection(context)
  await removeLeftovers(context.host, context.folders, everything)
  const usesKeyring = protection === 'auto' || protection === 'keyring'
  if (!everything || !usesKeyring) return []
  // There is one key in the keyring, whatever CADZERO_AUTH_HOME says: the sessions of the usual folders need it too.
  const usual = locateFolders({ ...process.env, CADZERO_AUTH_HOME: undefined })
  const others = await sessionNames(context, usual.sessions)
  if (others.length > 0) return [`the key in the keyring, since it opens the sessions in ${usual.sessions}`]
  try {
    await systemKeyring(context.host.clock).remove()
    return []
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return error.code === 'keyring_unavailable'
      ? []
      : ['the key in the keyring (it is locked): unlock it and try again']
  }
}

async function sessionNames({ host }: Context, folder: string): Promise<string[]> {
  const names = await host.files.readdir(folder).catch(() => [])
  return names.filter((name) => SESSION_FILE.test(name))
}
