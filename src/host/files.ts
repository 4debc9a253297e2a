// The only access to the file system, and private files: owned by the user, closed to others, never half written.
import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { systemRandom } from './random.ts'

/** The calls that this program makes. Tests pass an implementation that fails on purpose. */
export type FileSystem = Pick<
  typeof fs,
  'open' | 'rename' | 'unlink' | 'mkdir' | 'rmdir' | 'lstat' | 'readdir' | 'chmod' | 'readFile' | 'realpath' | 'stat'
>

export const systemFiles: FileSystem = fs

export type FileProblem = 'too_open' | 'not_regular' | 'foreign_owner' | 'too_large' | 'not_a_folder'

/** A file or folder exists, but must not be trusted. */
export class FileError extends Error {
  constructor(
    readonly code: FileProblem,
    readonly path: string,
  ) {
    super(`${path}: ${PROBLEMS[code]}`)
    this.name = 'FileError'
  }
}

const PROBLEMS: Record<FileProblem, string> = {
  too_open: 'other users may read or write it; remove their permissions (chmod go-rwx)',
  not_regular: 'it is not a regular file with one name but a link, a pipe or a device; move it away',
  foreign_owner: 'it belongs to another user; move it away',
  too_large: 'it is too large to be a file of this program; move it away',
  not_a_folder: 'it is not a folder; move it away',
}

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL } = constants
const O_NOFOLLOW = constants.O_NOFOLLOW ?? 0 // absent on Windows
const O_NONBLOCK = constants.O_NONBLOCK ?? 0
const isWindows = process.platform === 'win32'
const ownUid = process.getuid?.()

/** The code of a system error (`ENOENT`, …), or undefined. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/**
 * Makes a folder that only its owner can enter, or removes the permissions of others from an existing one.
 * @throws FileError if the path is not a folder of this user; a system error if it cannot be made
 */
export async function ensurePrivateFolder(files: FileSystem, path: string): Promise<void> {
  await files.mkdir(path, { recursive: true, mode: 0o700 })
  const found = await files.lstat(path)
  if (!found.isDirectory()) throw new FileError('not_a_folder', path)
  if (isWindows) return
  if (found.uid !== ownUid) throw new FileError('foreign_owner', path)
  // A umask of 0777 would leave even the owner without access.
  if ((found.mode & 0o777) !== 0o700) await files.chmod(path, 0o700)
}

/**
 * Reads a file that only its owner may access; undefined if there is none.
 * The checks are made on the open descriptor, so that the file cannot be exchanged between check and read.
 * @throws FileError if it is not such a file; a system error if it cannot be read
 */
export async function readPrivateFile(files: FileSystem, path: string, maxBytes: number): Promise<Buffer | undefined> {
  return await readOwnFile(files, path, maxBytes, true)
}

/**
 * Reads a file that belongs to the user; undefined if there is none.
 * @param isPrivate whether to refuse a file that others may access
 * @throws FileError if it is not such a file; a system error if it cannot be read
 */
export async function readOwnFile(
  files: FileSystem,
  path: string,
  maxBytes: number,
  isPrivate: boolean,
): Promise<Buffer | undefined> {
  let handle: fs.FileHandle
  try {
    // Without O_NONBLOCK, opening a planted FIFO would block for ever.
    handle = await files.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    if (errorCode(error) === 'ELOOP' || errorCode(error) === 'ENXIO') throw new FileError('not_regular', path)
    throw error
  }
  try {
    const found = await handle.stat()
    if (!found.isFile() || found.nlink > 1) throw new FileError('not_regular', path)
    if (!isWindows && found.uid !== ownUid) throw new FileError('foreign_owner', path)
    if (isPrivate && !isWindows && (found.mode & 0o077) !== 0) throw new FileError('too_open', path)
    if (found.size > maxBytes) throw new FileError('too_large', path)
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

const TEMPORARY = /^\..+\.[0-9a-f]{16}\.tmp$/

/**
 * Replaces a private file in one step that survives a crash: new file, fsync, rename, fsync of the folder.
 * @param durable false for a file that has no use after a crash: readers always see it whole, but there is no fsync
 * @throws a system error; the old file is then still there, whole
 */
export async function writePrivateFile(
  files: FileSystem,
  path: string,
  data: string | Uint8Array,
  durable = true,
): Promise<void> {
  const folder = dirname(path)
  const temporary = join(folder, `.${basename(path)}.${systemRandom(8).toString('hex')}.tmp`)
  try {
    const handle = await files.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
    try {
      await handle.chmod(0o600) // a umask may have removed the owner's own permissions
      await handle.writeFile(data)
      if (durable) await handle.sync()
    } finally {
      await handle.close()
    }
    await renameOver(files, temporary, path)
  } catch (error) {
    await removeFile(files, temporary).catch(() => undefined) // the first error is the cause
    throw error
  }
  if (durable) await syncFolder(files, folder)
}

/** Removes a file, if there is one, so that it stays removed after a crash. */
export async function removePrivateFile(files: FileSystem, path: string): Promise<void> {
  if (await removeFile(files, path)) await syncFolder(files, dirname(path))
}

/**
 * Overwrites a file and then deletes it, if its content is still what was read.
 * @returns false if it has changed meanwhile; it is then left as it is
 * @throws FileError, or a system error
 */
export async function wipeFile(files: FileSystem, path: string, content: Buffer): Promise<boolean> {
  const handle = await files.open(path, constants.O_RDWR | O_NOFOLLOW | O_NONBLOCK)
  try {
    const found = await handle.stat()
    if (!found.isFile() || found.nlink > 1) throw new FileError('not_regular', path)
    if (found.size !== content.length || !(await handle.readFile()).equals(content)) return false
    // The disk may keep old blocks (copy on write, wear levelling), which no program can reach.
    await handle.write(Buffer.alloc(content.length), 0, content.length, 0)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await removePrivateFile(files, path)
  return true
}

/** Renames a file within its folder, so that the new name survives a crash. */
export async function setAsideFile(files: FileSystem, path: string, aside: string): Promise<void> {
  await renameOver(files, path, aside)
  await syncFolder(files, dirname(path))
}

/**
 * Removes the temporary files that interrupted writes have left in a folder. Only the one process that writes there may
 * call this. A file that cannot be removed now (a read-only disk) stays until the next start, and does no harm.
 */
export async function sweepTemporaries(files: FileSystem, folder: string): Promise<void> {
  for (const name of await files.readdir(folder)) {
    if (TEMPORARY.test(name)) await removeFile(files, join(folder, name)).catch(() => undefined)
  }
}

async function removeFile(files: FileSystem, path: string): Promise<boolean> {
  try {
    await files.unlink(path)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

const RENAME_ATTEMPTS = 8 // 5 ms, doubled each time: 1.3 s in all, longer than a virus scanner holds a small file

async function renameOver(files: FileSystem, from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await files.rename(from, to)
    } catch (error) {
      const busy = ['EPERM', 'EACCES', 'EBUSY'].includes(errorCode(error) ?? '')
      if (!isWindows || !busy || attempt === RENAME_ATTEMPTS) throw error
      await new Promise((resolve) => setTimeout(resolve, 5 * 2 ** attempt))
    }
  }
}

async function syncFolder(files: FileSystem, folder: string): Promise<void> {
  if (isWindows) return // Windows opens no folder; NTFS journals the rename
  const handle = await files.open(folder, O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
