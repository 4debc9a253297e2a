// Private files: owned by the user, closed to others, never half written.
import { constants, type Stats } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errorCode, FileError, type FileSystem } from './file-system.ts'
import { systemRandom } from './random.ts'
import { syncFile, syncFolder } from './sync.ts'

export { errorCode, FileError, type FileProblem, type FileSystem, systemFiles } from './file-system.ts'

const { O_RDONLY, O_WRONLY, O_APPEND, O_CREAT, O_EXCL } = constants
const O_NOFOLLOW = constants.O_NOFOLLOW ?? 0 // absent on Windows
const O_NONBLOCK = constants.O_NONBLOCK ?? 0
const isWindows = process.platform === 'win32'
const ownUid = process.getuid?.()

/**
 * Makes a folder that only its owner can enter, or removes the permissions of others from an existing one. It may be a link
 * of the user's own to such a folder.
 * @throws FileError if the path is not a folder of this user; a system error if it cannot be made
 */
export async function ensurePrivateFolder(files: FileSystem, path: string): Promise<void> {
  try {
    const found = await makeFolder(files, path)
    if (isWindows) return
    if (found.uid !== ownUid) throw new FileError('foreign_owner', path)
    // A umask of 0777 would leave even the owner without access.
    if ((found.mode & 0o777) !== 0o700) await files.chmod(path, 0o700)
  } catch (error) {
    throw ['EACCES', 'EPERM', 'EROFS'].includes(errorCode(error) ?? '') ? new FileError('no_access', path) : error
  }
}

async function makeFolder(files: FileSystem, path: string): Promise<Stats> {
  const before = await files.lstat(path).catch(ignoreAbsent)
  // Nothing is made through a link.
  if (before?.isSymbolicLink()) return await statLinkedFolder(files, path)
  if (!before) await files.mkdir(path, { recursive: true, mode: 0o700 })
  const found = before ?? (await files.lstat(path))
  if (!found.isDirectory()) throw new FileError('not_a_folder', path)
  return found
}

async function statLinkedFolder(files: FileSystem, path: string): Promise<Stats> {
  const found = await files.lstat(await followLinks(files, path))
  if (!found.isDirectory()) throw new FileError('not_a_folder', path)
  return found
}

/** Whether the path is a folder of this user, or a link of the user's own to one. */
export async function isOwnFolder(files: FileSystem, path: string): Promise<boolean> {
  try {
    const found = await files.lstat(path)
    const folder = found.isSymbolicLink() ? await statLinkedFolder(files, path) : found
    return folder.isDirectory() && (isWindows || folder.uid === ownUid)
  } catch {
    return false
  }
}

/** @throws FileError if another user could change where a link leads, or if it leads nowhere; a system error */
async function followLinks(files: FileSystem, path: string): Promise<string> {
  try {
    const { resolveLinks } = await import('./links.ts') // few users have such links
    return await resolveLinks(files, path)
  } catch (error) {
    throw errorCode(error) === 'ENOENT' ? new FileError('broken_link', path) : error
  }
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
  const handle = await openForReading(files, path)
  if (handle === undefined) return undefined
  try {
    const found = await handle.stat()
    if (found.nlink > 1) throw new FileError('not_regular', path)
    if (!isWindows && found.uid !== ownUid) throw new FileError('foreign_owner', path)
    if (isPrivate && !isWindows && (found.mode & 0o077) !== 0) throw new FileError('too_open', path)
    return await readChecked(handle, found, path, maxBytes)
  } finally {
    await handle.close()
  }
}

/**
 * Reads a file of settings that belongs to the user or to root; undefined if there is none. It may be a link, as programs
 * that keep a user's settings in one folder make them, unless another user could change it or its target.
 * @throws FileError if it is not such a file; a system error if it cannot be read
 */
export async function readSettingsFile(files: FileSystem, path: string, maxBytes: number): Promise<Buffer | undefined> {
  const isLink = (await files.lstat(path).catch(ignoreAbsent))?.isSymbolicLink() ?? false
  const handle = await openForReading(files, isLink ? await followLinks(files, path) : path)
  if (handle === undefined) return undefined
  try {
    const found = await handle.stat()
    if (!isWindows && found.uid !== ownUid && found.uid !== 0) throw new FileError('foreign_owner', path)
    // Beside the link the folder protects the file; the folder of its target need not be private.
    if (isLink && !isWindows && (await import('./links.ts')).isWritableByOthers(found)) {
      throw new FileError('unsafe_link', path)
    }
    return await readChecked(handle, found, path, maxBytes)
  } finally {
    await handle.close()
  }
}

/** Undefined if there is no such file. */
async function openForReading(files: FileSystem, path: string): Promise<FileHandle | undefined> {
  try {
    // Without O_NONBLOCK, opening a planted FIFO would block for ever.
    return await files.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    if (errorCode(error) === 'ELOOP' || errorCode(error) === 'ENXIO') throw new FileError('not_regular', path)
    throw error
  }
}

async function readChecked(handle: FileHandle, found: Stats, path: string, maxBytes: number): Promise<Buffer> {
  if (!found.isFile()) throw new FileError('not_regular', path)
  if (found.size > maxBytes) throw new FileError('too_large', path)
  return await handle.readFile()
}

export interface AppendableFile {
  readonly handle: FileHandle
  /** As it was when it was opened. */
  readonly found: Stats
}

/**
 * Opens a private file, which may be new, to append to it.
 * @throws FileError if it is no regular file; a system error
 */
export async function openForAppending(files: FileSystem, path: string): Promise<AppendableFile> {
  // Without O_NONBLOCK, opening a FIFO would block for ever.
  const handle = await files.open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o600)
  try {
    const found = await handle.stat()
    if (!found.isFile()) throw new FileError('not_regular', path)
    return { handle, found }
  } catch (error) {
    await handle.close() // Node.js 26 ends a process that loses an open handle
    throw error
  }
}

const TEMPORARY = /^\..+\.[0-9a-f]{16}\.tmp$/

/**
 * Replaces a private file in one step that survives a crash: new file, fsync, rename, fsync of the folder.
 * @param durable false for a file that has no use after a crash: readers always see it whole, but there is no fsync
 * @param beforeRename the last check before the old file is replaced; if it throws, the old file stays
 * @throws a system error, or what `beforeRename` throws; the old file is then still there, whole
 */
export async function writePrivateFile(
  files: FileSystem,
  path: string,
  data: string | Uint8Array,
  durable = true,
  beforeRename: () => Promise<void> = async () => undefined,
): Promise<void> {
  const folder = dirname(path)
  const temporary = join(folder, `.${basename(path)}.${systemRandom(8).toString('hex')}.tmp`)
  try {
    const handle = await files.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
    try {
      await handle.chmod(0o600) // a umask may have removed the owner's own permissions
      await handle.writeFile(data)
      if (durable) await syncFile(handle)
    } finally {
      await handle.close()
    }
    await beforeRename()
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
    await syncFile(handle)
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

function ignoreAbsent(error: unknown): undefined {
  if (errorCode(error) !== 'ENOENT') throw error
}
