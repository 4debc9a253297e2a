// The one door to the file system, and what every private file of ours needs: whole, owner-only, never half written.
import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { systemRandom } from './random.ts'

/** The calls that private files are made of. Tests hand in one that fails on purpose. */
export type FileSystem = Pick<
  typeof fs,
  'open' | 'rename' | 'unlink' | 'mkdir' | 'rmdir' | 'lstat' | 'readdir' | 'chmod' | 'readFile' | 'realpath' | 'stat'
>

export const systemFiles: FileSystem = fs

export type FileProblem = 'too_open' | 'not_regular' | 'foreign_owner' | 'too_large' | 'not_a_folder'

/** A file or folder is there, but not one that we may trust. */
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
  too_open: 'other users may read or write it; take their rights away (chmod go-rwx)',
  not_regular: 'it is not a plain file with one name (a link, a pipe or a device); move it away',
  foreign_owner: 'it belongs to another user; move it away',
  too_large: 'it is larger than such a file can be; move it away',
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
 * Makes a folder that only its owner can enter, or takes others' rights away from one that is there.
 * @throws FileError where the path is not a folder of ours; a system error where it cannot be made.
 */
export async function ensurePrivateFolder(files: FileSystem, path: string): Promise<void> {
  await files.mkdir(path, { recursive: true, mode: 0o700 })
  const found = await files.lstat(path)
  if (!found.isDirectory()) throw new FileError('not_a_folder', path)
  if (isWindows) return
  if (found.uid !== ownUid) throw new FileError('foreign_owner', path)
  // Not only too many rights: a umask of 0777 leaves the owner none.
  if ((found.mode & 0o777) !== 0o700) await files.chmod(path, 0o700)
}

/**
 * Reads a file that only its owner may touch; undefined where there is none.
 * The checks are made on the opened descriptor, so that nothing can be swapped in between.
 * @throws FileError where it is not such a file; a system error where it cannot be read.
 */
export async function readPrivateFile(files: FileSystem, path: string, maxBytes: number): Promise<Buffer | undefined> {
  return await readOwnFile(files, path, maxBytes, true)
}

/**
 * Reads a file that its owner wrote, whoever else may read it; undefined where there is none.
 * @param isPrivate whether nobody else may
 * @throws FileError where it is not such a file; a system error where it cannot be read.
 */
export async function readOwnFile(
  files: FileSystem,
  path: string,
  maxBytes: number,
  isPrivate: boolean,
): Promise<Buffer | undefined> {
  let handle: fs.FileHandle
  try {
    // Without O_NONBLOCK opening a planted FIFO would wait for ever.
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
 * Replaces a private file as one step that survives a crash: fresh file, fsync, rename, fsync of the folder.
 * @param durable false for a file that means nothing after a crash: it is whole for who reads it, but not forced to disk.
 * @throws a system error; the old file is then still there, whole.
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
      await handle.chmod(0o600) // a umask may have taken the owner's own rights
      await handle.writeFile(data)
      if (durable) await handle.sync()
    } finally {
      await handle.close()
    }
    await renameOver(files, temporary, path)
  } catch (error) {
    await removeFile(files, temporary).catch(() => undefined) // the first error is the one that tells
    throw error
  }
  if (durable) await syncFolder(files, folder)
}

/** Removes a file for good, also after a crash. Harmless where there is none. */
export async function removePrivateFile(files: FileSystem, path: string): Promise<void> {
  if (await removeFile(files, path)) await syncFolder(files, dirname(path))
}

/**
 * Overwrites a file and then deletes it, if it still holds what was read from it.
 * @returns false where it has changed meanwhile; it is then left alone.
 * @throws FileError, or a system error
 */
export async function wipeFile(files: FileSystem, path: string, content: Buffer): Promise<boolean> {
  const handle = await files.open(path, constants.O_RDWR | O_NOFOLLOW | O_NONBLOCK)
  try {
    const found = await handle.stat()
    if (!found.isFile() || found.nlink > 1) throw new FileError('not_regular', path)
    if (found.size !== content.length || !(await handle.readFile()).equals(content)) return false
    // What the disk itself keeps of it (copies on write, wear levelling) is out of reach; the plain text goes.
    await handle.write(Buffer.alloc(content.length), 0, content.length, 0)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await removePrivateFile(files, path)
  return true
}

/** Moves a file to another name in its folder, for good. */
export async function setAsideFile(files: FileSystem, path: string, aside: string): Promise<void> {
  await renameOver(files, path, aside)
  await syncFolder(files, dirname(path))
}

/**
 * Removes what writes that a crash cut short have left in a folder. To be called by the one process that writes there.
 * What cannot be removed now (a read-only disk) stays for the next time: it is in nobody's way.
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
  if (isWindows) return // a folder cannot be opened there; NTFS journals the rename
  const handle = await files.open(folder, O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
