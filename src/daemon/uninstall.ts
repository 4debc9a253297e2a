// Uninstalls the daemon; with `purge` it also ends the sessions and removes everything that was saved.
//
// The order matters: sessions are revoked while a daemon can still do that, the log-on entry goes before the daemon so that
// the system does not start it again, and files are removed under the lock so that no new daemon can use them.
import { basename, dirname, join } from 'node:path'
import { loadConfig } from '../config/config.ts'
import { ConfigurationError } from '../config/errors.ts'
import { type Folders, locateFolders } from '../config/paths.ts'
import { isOwnFolder, removePrivateFile, sweepTemporaries } from '../host/files.ts'
import { EnvironmentError } from '../host/home.ts'
import type { Host } from '../host/host.ts'
import { takeLock } from '../host/lock.ts'
import { NoDaemonError, type RpcClient } from '../rpc/client.ts'
import { StoreError } from '../store/errors.ts'
import { loadInstallation } from '../store/installation.ts'
import { systemKeyring } from '../store/keyring.ts'
import { writerOf } from '../store/session-file.ts'
import { endDaemon, StuckDaemonError } from './single-instance.ts'

export interface UninstallOptions {
  readonly host: Host
  readonly folders: Folders
  readonly env: NodeJS.ProcessEnv
  /** Whether to sign out, and to remove the sessions, their key and the configuration as well. */
  readonly purge: boolean
  /** Connects to the daemon, and starts it if it does not run. */
  readonly connectToDaemon: () => Promise<RpcClient>
  /** Removes the entry that starts the daemon at log-on. @returns whether there was one */
  readonly removeEntry: () => Promise<boolean>
  readonly onWarning: (warning: UninstallWarning) => void
}

export type UninstallWarning =
  /** The provider did not confirm that the session of this profile has ended. */
  | { readonly kind: 'not_revoked'; readonly profile: string }
  /** No daemon could be started to revoke the sessions. */
  | { readonly kind: 'no_daemon' }

/** Why the key was left in the keyring: sessions in another folder need it or may need it, or the keyring is locked. */
export type KeptKey =
  | { readonly kind: 'in_use'; readonly sessions: string }
  | { readonly kind: 'no_home' }
  | { readonly kind: 'locked' }

export interface Uninstalled {
  /** Whether there was an entry that started the daemon at log-on. */
  readonly hadEntry: boolean
  /** Set if the key was to be removed from the keyring but was kept. */
  readonly keptKey: KeptKey | undefined
  /** Whether the key was removed from the keyring. */
  readonly removedKey: boolean
  /** The paths of the files and folders that no longer exist. */
  readonly removed: readonly string[]
}

/** @throws StuckDaemonError, LockError, FileError, whatever `removeEntry` throws, or a system error */
export async function uninstall(options: UninstallOptions): Promise<Uninstalled> {
  const { host, folders, purge } = options
  const before = await existingPaths(host, folders) // the daemon removes some of them itself, at the logout and at its end
  if (purge) await revokeSessions(options)
  const hadEntry = await options.removeEntry()
  await endDaemon(host, folders).catch(ignoreNoDaemon)
  const usesKeyring = purge && (await isKeyInKeyring(options))
  await removeFiles(host, folders, purge)
  const key = usesKeyring ? await removeKeyringEntry(options) : 'absent'
  await removeAddon(host, folders) // the step before may have unpacked it
  await removeEmptyFolders(host, folders, purge)
  const after = new Set(await existingPaths(host, folders))
  const removed = before.filter((path) => !after.has(path))
  return { hadEntry, keptKey: typeof key === 'string' ? undefined : key, removedKey: key === 'removed', removed }
}

/** The paths in the folders of this program, and the folders themselves. None of a folder that cannot be read. */
async function existingPaths({ files }: Host, { sessions, config, data, log, addon }: Folders): Promise<string[]> {
  const found: string[] = []
  for (const folder of [sessions, config, addon, data, log]) {
    const names = await files.readdir(folder).catch(() => undefined)
    if (names) found.push(...names.map((name) => join(folder, name)), folder)
  }
  return [...new Set(found)]
}

/** Ends the sessions at the provider: they would outlive the deletion of their files. Never throws. */
async function revokeSessions({ host, folders, connectToDaemon, onWarning }: UninstallOptions): Promise<void> {
  const profiles = await savedProfiles(host, folders.sessions)
  if (profiles.length === 0) return
  let client: RpcClient
  try {
    client = await connectToDaemon()
  } catch {
    onWarning({ kind: 'no_daemon' })
    return
  }
  for (const profile of profiles) {
    const { revoked } = await client.call('logout', { profile }).catch(() => ({ revoked: false }))
    if (!revoked) onWarning({ kind: 'not_revoked', profile })
  }
  client.close()
}

const SESSION_FILE = /^(.+)\.jwe$/

/** The profiles with a session file in this folder. */
async function savedProfiles({ files }: Host, folder: string): Promise<string[]> {
  const names = await files.readdir(folder).catch(() => [])
  return names.flatMap((name) => SESSION_FILE.exec(name)?.[1] ?? [])
}

function ignoreNoDaemon(error: unknown): void {
  if (!(error instanceof NoDaemonError)) throw error
}

/** Whether the key may be in the keyring. If the configuration is invalid, the default applies. */
async function isKeyInKeyring({ host, folders, env }: UninstallOptions): Promise<boolean> {
  try {
    const { keyProtection } = await loadConfig(host.files, folders.configFile, env)
    return keyProtection === 'auto' || keyProtection === 'keyring'
  } catch (error) {
    if (error instanceof ConfigurationError) return true
    throw error
  }
}

// Only files with these names are removed: the user may have put others beside them.
const RUNTIME_FILE = /^(endpoint\.json|daemon\.lock)$/
const LOG_FILE = /^((\d{8}-\d{4}-\d{2}-)?daemon\.log(\.txt)?|daemon\.log\.\d)$/ // with the rotated ones, also those of 1.0
const CONFIG_FILE = /^config\.json$/
const ANY_SESSION_FILE = /\.jwe(\.bad-\d+)?$/
const DATA_FILE = /^(store-key\.jw[ke]|installation\.json|(known-user|prompt-pause)-.+\.json)$/
const ADDON_FILE = /^[0-9a-f]{64}\.node(\.\d+)?$/

/**
 * Removes the files of the daemon.
 * @throws StuckDaemonError if a daemon runs; LockError, or a system error
 */
async function removeFiles(host: Host, folders: Folders, purge: boolean): Promise<void> {
  const { config, data, log, sessions, lockFile } = folders
  if (!(await isOwnFolder(host.files, data))) return
  const lock = await takeLock(host.files, lockFile)
  if (!lock) throw new StuckDaemonError({ kind: 'silent' })
  try {
    if (purge) {
      const isOwn = await ownSessionFiles(host, folders)
      await removeMatching(host, sessions, ANY_SESSION_FILE, isOwn)
      // Another installation that keeps sessions here needs the configuration too.
      if ((await savedProfiles(host, sessions)).length === 0) await removeMatching(host, config, CONFIG_FILE)
      await removeMatching(host, data, DATA_FILE)
    }
    await removeMatching(host, log, LOG_FILE)
    // Windows cannot remove an open file: there the lock file is removed after its release.
    if (process.platform !== 'win32') await removeMatching(host, data, RUNTIME_FILE)
  } finally {
    await lock.release()
  }
  if (process.platform === 'win32') await removeMatching(host, data, RUNTIME_FILE)
}

/** @param mayRemove asked for each file whose name matches */
async function removeMatching(
  host: Host,
  folder: string,
  pattern: RegExp,
  mayRemove: (path: string) => Promise<boolean> = async () => true,
): Promise<void> {
  if (!(await isOwnFolder(host.files, folder))) return
  await sweepTemporaries(host.files, folder)
  for (const name of await host.files.readdir(folder)) {
    const path = join(folder, name)
    if (pattern.test(name) && (await mayRemove(path))) await removePrivateFile(host.files, path)
  }
}

/** Tells the session files of this installation: those of another one stay, since it still uses them. */
async function ownSessionFiles({ files, random, name }: Host, { data }: Folders) {
  const own = await loadInstallation({ files, random, dataFolder: data, hostName: name }).catch(() => undefined)
  return async (path: string) => {
    const writer = await writerOf(files, path)
    return writer === undefined || writer === own?.id
  }
}

/** Removes the folder if it is empty, and its parent too if that is the daemon's (`cadzero-auth\Data` on Windows). */
async function removeIfEmpty({ files }: Host, folder: string): Promise<void> {
  await files.rmdir(folder).catch(() => undefined)
  const parent = dirname(folder)
  if (basename(parent) === 'cadzero-auth') await files.rmdir(parent).catch(() => undefined)
}

/** Removes the unpacked addon of the single executable. Windows keeps it while a process, such as this one, has it loaded. */
async function removeAddon(host: Host, { addon }: Folders): Promise<void> {
  await removeMatching(host, addon, ADDON_FILE).catch(() => undefined)
  await removeIfEmpty(host, addon)
}

async function removeEmptyFolders(host: Host, { config, data, log, sessions }: Folders, purge: boolean): Promise<void> {
  for (const folder of purge ? [log, sessions, config, data] : [log, data]) await removeIfEmpty(host, folder)
}

/** @returns why the key was kept, if it was */
async function removeKeyringEntry({ host, env }: UninstallOptions): Promise<KeptKey | 'removed' | 'absent'> {
  // The keyring has one key for all folders: the sessions in the default folders need it, whatever CADZERO_AUTH_HOME is.
  const sessions = defaultSessions(env)
  if (sessions === undefined) return { kind: 'no_home' }
  if ((await savedProfiles(host, sessions)).length > 0) return { kind: 'in_use', sessions }
  try {
    return (await systemKeyring(host.clock).remove()) ? 'removed' : 'absent'
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return error.code === 'keyring_unavailable' ? 'absent' : { kind: 'locked' }
  }
}

/** The folder of the sessions without CADZERO_AUTH_HOME; undefined if the environment does not tell. */
function defaultSessions(env: NodeJS.ProcessEnv): string | undefined {
  try {
    return locateFolders({ ...env, CADZERO_AUTH_HOME: undefined }).sessions
  } catch (error) {
    if (error instanceof EnvironmentError) return undefined
    throw error
  }
}
