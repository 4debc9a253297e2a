// Takes our files away when the program is uninstalled: only files that are ours by their names, and folders that are empty then.
import { basename, dirname, join } from 'node:path'
import type { Folders } from '../config/paths.ts'
import { removePrivateFile, sweepTemporaries } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { takeLock } from '../host/lock.ts'
import { StuckDaemonError } from './single-instance.ts'

const RUNTIME = /^(endpoint\.json|daemon\.lock)$/
const LOGS = /^(\d{8}-\d{4}-\d{2}-)?daemon\.log(\.txt)?$/ // with those that were rotated, and the list of them
const CONFIG = /^config\.json$/
const SESSIONS = /\.jwe(\.bad-\d+)?$/
const KEYS = /^(store-key\.jw[ke]|known-user-.+\.json)$/

/**
 * Removes what a daemon leaves: its log, its lock, its discovery file. No daemon may run.
 * @param everything whether the sessions, their key and the configuration go as well
 * @throws StuckDaemonError where one runs after all; LockError, or a system error
 */
export async function removeLeftovers(host: Host, folders: Folders, everything: boolean): Promise<void> {
  const { config, data, log, sessions, lockFile } = folders
  if (await isFolder(host, data)) {
    const lock = await takeLock(host.files, lockFile)
    if (!lock) throw new StuckDaemonError()
    try {
      if (everything) {
        await removeFiles(host, sessions, SESSIONS)
        await removeFiles(host, config, CONFIG)
        await removeFiles(host, data, KEYS)
      }
      await removeFiles(host, log, LOGS)
      // On Windows an open file cannot be removed: there the lock goes below, once it is nobody's.
      if (process.platform !== 'win32') await removeFiles(host, data, RUNTIME)
    } finally {
      await lock.release()
    }
    if (process.platform === 'win32') await removeFiles(host, data, RUNTIME)
  }
  for (const folder of everything ? [log, sessions, config, data] : [log, data]) await removeEmpty(host, folder)
}

async function removeFiles(host: Host, folder: string, ours: RegExp): Promise<void> {
  if (!(await isFolder(host, folder))) return
  await sweepTemporaries(host.files, folder)
  for (const name of await host.files.readdir(folder)) {
    if (ours.test(name)) await removePrivateFile(host.files, join(folder, name))
  }
}

/** A link is none: what it points at is not ours to empty. */
async function isFolder({ files }: Host, path: string): Promise<boolean> {
  return (await files.lstat(path).catch(() => undefined))?.isDirectory() ?? false
}

/** And the folder above, where that is ours alone (`cadzero-auth\Data` on Windows). */
async function removeEmpty({ files }: Host, folder: string): Promise<void> {
  await files.rmdir(folder).catch(() => undefined)
  const above = dirname(folder)
  if (basename(above) === 'cadzero-auth') await files.rmdir(above).catch(() => undefined)
}
