// The folders of the daemon: made private, restricted on Windows, and cleared of the leftovers of a crash.
import type { Folders } from '../config/paths.ts'
import { ensurePrivateFolder, FileError, sweepTemporaries } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import type { Log } from '../log/log.ts'

/** @throws FileError if a path is not a folder of this user; or a system error */
export async function makeFolders({ files }: Host, { config, data, log, sessions }: Folders): Promise<void> {
  const ensure = (path: string) => ensurePrivateFolder(files, path)
  // `sessions` is in `config`, which may be a link: nothing is made behind it before it is checked.
  await Promise.all([ensure(data), ensure(log), ensure(config).then(() => ensure(sessions))])
}

/** @throws FileError if other users have access to a folder and that cannot be changed */
export async function restrictFolders(host: Host, { config, data, log: logFolder }: Folders, log: Log): Promise<void> {
  await Promise.all(
    [config, data, logFolder].map(async (path) => {
      const access = await host.restrictFolder(path)
      if (access === 'open') throw new FileError('too_open', path)
      if (access === 'unknown') log.warn('folder_access_unknown')
    }),
  )
}

/** Removes what interrupted writes have left. The caller holds the lock: another daemon's write may be under way. */
export async function sweepFolders({ files }: Host, { data, sessions }: Folders): Promise<void> {
  await Promise.all([data, sessions].map((path) => sweepTemporaries(files, path)))
}
