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
import { systemKeyring } from '../store/keyring.ts'
import { proxyUser, systemProxyPassword } from '../store/proxy-password.ts'
import { sessionHeaderOf } from '../store/session-file.ts'
import { configFileJudge, type Judge, type StayReason, sessionFileJudge } from './ownership.ts'
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
  /** The session of this profile was in memory only when the daemon ended. */
  | { readonly kind: 'unsaved'; readonly profile: string }
  /** No daemon could be started to revoke the sessions. */
  | { readonly kind: 'no_daemon' }

/** Why the key was left in the keyring: sessions in another folder need it or may need it, or the keyring is locked. */
export type KeptKey =
  | { readonly kind: 'in_use'; readonly sessions: string }
  | { readonly kind: 'no_home' }
  | { readonly kind: 'locked' }

/** A file that the removal did not delete although it has one of the program's names. */
export interface LeftFile {
  readonly path: string
  /** `in_use`: another installation that keeps sessions in the same folder needs it. `open`: a process has loaded it (Windows). */
  readonly reason: StayReason | 'in_use' | 'open'
}

export interface Uninstalled {
  /** Whether there was an entry that started the daemon at log-on. */
  readonly hadEntry: boolean
  /** The process of the daemon that was ended; undefined if none ran, or it has ended with the entry. */
  readonly ended: number | undefined
  /** Set if the key was to be removed from the keyring but was kept. */
  readonly keptKey: KeptKey | undefined
  /** Whether the key was removed from the keyring. */
  readonly removedKey: boolean
  /** The paths of the files and folders that no longer exist. */
  readonly removed: readonly string[]
  readonly left: readonly LeftFile[]
  /** Whether any file or folder of the program still exists. */
  readonly hasFiles: boolean
}

/** @throws StuckDaemonError, LockError, FileError, whatever `removeEntry` throws, or a system error */
export async function uninstall(options: UninstallOptions): Promise<Uninstalled> {
  const { host, folders, purge } = options
  const before = await existingPaths(host, folders) // the daemon removes some of them itself, at the logout and at its end
  if (purge) await revokeSessions(options)
  const hadEntry = await options.removeEntry()
  const ended = await endDaemon(host, folders).catch(ignoreNoDaemon)
  for (const profile of ended?.unsaved ?? []) options.onWarning({ kind: 'unsaved', profile })
  const usesKeyring = purge && (await isKeyInKeyring(options))
  if (purge) await removeProxyPassword(options)
  const left = await removeFiles(host, folders, purge)
  const key = usesKeyring ? await removeKeyringEntry(options) : 'absent'
  left.push(...(await removeAddons(host, folders))) // the step before may have unpacked one
  await removeEmptyFolders(host, folders, purge)
  const after = new Set(await existingPaths(host, folders))
  const removed = before.filter((path) => !after.has(path))
  const keptKey = typeof key === 'string' ? undefined : key
  return {
    hadEntry,
    ended: ended?.pid,
    keptKey,
    removedKey: key === 'removed',
    removed,
    left,
    hasFiles: after.size > 0,
  }
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
  const profiles: string[] = []
  for (const name of await files.readdir(folder).catch(() => [])) {
    const profile = SESSION_FILE.exec(name)?.[1]
    if (profile !== undefined && (await sessionHeaderOf(files, join(folder, name)))) profiles.push(profile)
  }
  return profiles
}

function ignoreNoDaemon(error: unknown): void {
  if (!(error instanceof NoDaemonError)) throw error
}

/** Removes the password of the proxy that config.json names. Never throws: a locked keyring keeps it. */
async function removeProxyPassword({ host, folders, env }: UninstallOptions): Promise<void> {
  try {
    const { proxy } = await loadConfig(host.files, folders.configFile, env)
    if (proxyUser(proxy) !== undefined) await systemProxyPassword(host.clock).remove(proxy)
  } catch {} // without a configuration there is no such proxy
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

// Only files with these names are removed: the user may have put others beside them. A session file and the configuration have
// names that others could use as well, and must look like ours.
const RUNTIME_FILE = /^(endpoint\.json|daemon\.lock)$/
const LOG_FILE = /^((\d{8}-\d{4}-\d{2}-)?daemon\.log(\.txt)?|daemon\.log\.\d)$/ // with the rotated ones, also those of 1.0
const CONFIG_FILE = /^config\.json$/
const ANY_SESSION_FILE = /\.jwe(\.bad-\d+)?$/
const DATA_FILE = /^(store-key\.jw[ke]|(installation|installed-by|update)\.json|(known-user|prompt-pause)-.+\.json)$/
const ADDON_FILE = /^[0-9a-f]{64}\.node(\.\d+)?$/

/**
 * Removes the files of the daemon.
 * @returns those that were left although their names are ours
 * @throws StuckDaemonError if a daemon runs; LockError, or a system error
 */
async function removeFiles(host: Host, folders: Folders, purge: boolean): Promise<LeftFile[]> {
  const { data, log, lockFile } = folders
  const left: LeftFile[] = []
  if (!(await isOwnFolder(host.files, data))) return left
  const lock = await takeLock(host.files, lockFile)
  if (!lock) throw new StuckDaemonError({ kind: 'silent' })
  try {
    if (purge) left.push(...(await removeSaved(host, folders)))
    await removeMatching(host, log, LOG_FILE)
    // Windows cannot remove an open file: there the lock file is removed after its release.
    if (process.platform !== 'win32') await removeMatching(host, data, RUNTIME_FILE)
  } finally {
    await lock.release()
  }
  if (process.platform === 'win32') await removeMatching(host, data, RUNTIME_FILE)
  return left
}

/** Removes the sessions, the configuration and the keys. @returns the files that were left */
async function removeSaved(host: Host, folders: Folders): Promise<LeftFile[]> {
  const { config, data, sessions } = folders
  const left = await removeMatching(host, sessions, ANY_SESSION_FILE, await sessionFileJudge(host, folders))
  // Another installation that keeps sessions here needs the configuration too.
  const isConfigInUse = left.some(({ reason }) => reason === 'other_installation')
  const judge = isConfigInUse ? async () => 'in_use' as const : configFileJudge(host)
  left.push(...(await removeMatching(host, config, CONFIG_FILE, judge)))
  await removeMatching(host, data, DATA_FILE)
  return left
}

/**
 * @param judge asked for each file whose name matches
 * @returns the files that were left
 */
async function removeMatching(
  host: Host,
  folder: string,
  pattern: RegExp,
  judge: Judge | (() => Promise<'in_use'>) = async () => undefined,
): Promise<LeftFile[]> {
  const left: LeftFile[] = []
  if (!(await isOwnFolder(host.files, folder))) return left
  await sweepTemporaries(host.files, folder)
  for (const name of await host.files.readdir(folder)) {
    if (!pattern.test(name)) continue
    const path = join(folder, name)
    const reason = await judge(path)
    if (reason === undefined) await removePrivateFile(host.files, path)
    else left.push({ path, reason })
  }
  return left
}

/** Removes the folder if it is empty, and its parent too if that is the daemon's (`cadzero-auth\Data` on Windows). */
async function removeIfEmpty({ files }: Host, folder: string): Promise<void> {
  await files.rmdir(folder).catch(() => undefined)
  const parent = dirname(folder)
  if (basename(parent) === 'cadzero-auth') await files.rmdir(parent).catch(() => undefined)
}

/** Removes the unpacked addons of the single executable. @returns those that this process or another one has open */
async function removeAddons(host: Host, { addon }: Folders): Promise<LeftFile[]> {
  const left: LeftFile[] = []
  if (!(await isOwnFolder(host.files, addon))) return left
  for (const name of await host.files.readdir(addon)) {
    const path = join(addon, name)
    if (!ADDON_FILE.test(name)) continue
    await removePrivateFile(host.files, path).catch(() => left.push({ path, reason: 'open' }))
  }
  await removeIfEmpty(host, addon)
  return left
}

async function removeEmptyFolders(host: Host, { config, data, log, sessions }: Folders, purge: boolean): Promise<void> {
  for (const folder of purge ? [log, sessions, config, data] : [log, data]) await removeIfEmpty(host, folder)
}

/** @returns why the key was kept, if it was */
async function removeKeyringEntry({ host, env }: UninstallOptions): Promise<KeptKey | 'removed' | 'absent'> {
  // The keyring has one key for all folders: the sessions in the default folders need it, whatever CADZERO_AUTH_HOME is.
  const sessions = defaultSessions(env)
  if (sessions === undefined) return { kind: 'no_home' }
  // A file that does not look like a session may be a damaged one: it counts.
  const names = await host.files.readdir(sessions).catch(() => [])
  if (names.some((name) => SESSION_FILE.test(name))) return { kind: 'in_use', sessions }
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
