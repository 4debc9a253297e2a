// A lock file that one process at a time can hold. The system releases it when that process ends, in any way.
import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { errorCode, type FileSystem } from './files.ts'

export interface Lock {
  /** Whether the file still has its name. If it was removed, another process may hold the lock of a new one. */
  isCurrent(): Promise<boolean>
  release(): Promise<void>
}

/** The system cannot lock the file. */
export class LockError extends Error {
  /** @param reason what the system says */
  constructor(
    reason: string,
    readonly hint = 'set CADZERO_AUTH_HOME to a folder on a local disk',
  ) {
    super(`cannot lock: ${reason}`)
    this.name = 'LockError'
  }
}

const MISSING = 'the command flock is missing, which keeps a second daemon from starting'
const INSTALL = 'install the package util-linux'
const HELD = 1 // the exit status of flock(1) if another process holds the lock

const O_EXLOCK = 0x20 // open(2) of macOS and the BSDs: take the lock of flock(2) while opening
const UV_FS_O_EXLOCK = 0x10000000 // libuv on Windows: open the file without sharing it
const TAKEN = ['EAGAIN', 'EWOULDBLOCK', 'EBUSY', 'EACCES']

/**
 * Takes the lock; undefined if another process holds it.
 * @param flock the program that locks on Linux
 * @throws LockError, or a system error if the file cannot be opened
 */
export async function takeLock(files: FileSystem, path: string, flock = 'flock'): Promise<Lock | undefined> {
  const handle = process.platform === 'linux' ? await lockOnLinux(files, path, flock) : await lockByOpening(files, path)
  return handle && { isCurrent: () => hasName(files, handle, path), release: () => handle.close() }
}

async function hasName(files: FileSystem, handle: FileHandle, path: string): Promise<boolean> {
  if (process.platform === 'win32') return true // it removes no file that is open without sharing
  try {
    const [held, named] = [await handle.stat({ bigint: true }), await files.lstat(path, { bigint: true })]
    return held.ino === named.ino && held.dev === named.dev
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

async function lockByOpening(files: FileSystem, path: string): Promise<FileHandle | undefined> {
  const { O_RDWR, O_CREAT } = constants
  const exclusive =
    process.platform === 'win32' ? UV_FS_O_EXLOCK : O_EXLOCK | constants.O_NONBLOCK | constants.O_NOFOLLOW
  try {
    return await files.open(path, O_RDWR | O_CREAT | exclusive, 0o600)
  } catch (error) {
    if (TAKEN.includes(errorCode(error) ?? '')) return undefined
    throw error
  }
}

/**
 * Node has no call for flock(2). The lock belongs to the open file description, so flock(1) can take it on the descriptor
 * that it inherits and exit: this process then holds the lock for as long as its own descriptor is open.
 */
async function lockOnLinux(files: FileSystem, path: string, flock: string): Promise<FileHandle | undefined> {
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants
  const handle = await files.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
  try {
    const locked = await new Promise<boolean>((resolve, reject) => {
      const child = spawn(flock, ['-n', '-x', '3'], {
        stdio: ['ignore', 'ignore', 'pipe', handle.fd],
        env: { PATH: '/usr/bin:/bin:/usr/local/bin:/run/current-system/sw/bin', LC_ALL: 'C' },
      })
      let output = ''
      child.stderr?.on('data', (chunk) => {
        output += chunk
      })
      child.once('error', () => reject(new LockError(MISSING, INSTALL)))
      child.once('close', (status) => {
        if (status === 0 || status === HELD) resolve(status === 0)
        else reject(new LockError(`${path}: ${output.trim() || `flock ended with code ${status}`}`)) // no locks here, as on some network disks
      })
    })
    if (locked) return handle
  } catch (error) {
    await handle.close()
    throw error
  }
  await handle.close()
  return undefined
}
