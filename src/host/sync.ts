// fsync, on file systems that have it and on those that do not.
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { errorCode, type FileSystem } from './file-system.ts'

// The codes with which file systems (FUSE, 9p, SMB, shared folders of virtual machines) say that they have no fsync. They
// report no lost write: that would be EIO, ENOSPC or EDQUOT, and stays an error.
const FILE_SYNC_MISSING: readonly string[] = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']
// Some do not open a folder, or not for this.
const FOLDER_SYNC_MISSING: readonly string[] = [...FILE_SYNC_MISSING, 'EPERM', 'EACCES', 'EISDIR', 'EBADF']

/** Makes the content of a file survive a crash, if its file system can. @throws a system error */
export const syncFile = (handle: FileHandle): Promise<void> => sync(handle, FILE_SYNC_MISSING)

async function sync(handle: FileHandle, missing: readonly string[]): Promise<void> {
  try {
    await handle.sync()
  } catch (error) {
    if (!missing.includes(errorCode(error) ?? '')) throw error
  }
}

/** Makes new, renamed and removed names in a folder survive a crash, if its file system can. @throws a system error */
export async function syncFolder(files: FileSystem, folder: string): Promise<void> {
  if (process.platform === 'win32') return // Windows opens no folder; NTFS journals the rename
  let handle: FileHandle
  try {
    handle = await files.open(folder, constants.O_RDONLY)
  } catch (error) {
    if (FOLDER_SYNC_MISSING.includes(errorCode(error) ?? '')) return
    throw error
  }
  try {
    await sync(handle, FOLDER_SYNC_MISSING)
  } finally {
    await handle.close()
  }
}
