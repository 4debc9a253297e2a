// Symbolic links of the user's own: followed only if no other user can change their targets.
import type { Stats } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { FileError, type FileSystem } from './file-system.ts'

const MAX_LINKS = 40 // as Linux itself
const STICKY = 0o1000

/** Who may change the way to a file: this user and root, and no member of another group. */
export interface Trust {
  readonly uid: number | undefined
  readonly gid: number | undefined
}

const ownTrust: Trust = { uid: process.getuid?.(), gid: process.getgid?.() }

/**
 * Resolves every link on the way to a path, as realpath(3) does, and checks the way: each link and each folder belongs to
 * this user or to root, and no other user may rename what is in a folder. What has been checked cannot be exchanged
 * afterwards, so that the result can be opened. On Windows, where files have no mode, nothing is checked.
 * @throws FileError `unsafe_link`; a system error, such as ENOENT for a link that leads nowhere
 */
export async function resolveLinks(files: FileSystem, path: string, trust: Trust = ownTrust): Promise<string> {
  if (process.platform === 'win32') return await files.realpath(path)
  const left = partsOf(resolve(path))
  let links = 0
  let reached = '/'
  checkFolder(await files.lstat(reached), path, trust)
  for (let name = left.shift(); name !== undefined; name = left.shift()) {
    if (name === '..') {
      reached = dirname(reached)
      continue
    }
    const next = join(reached, name)
    const found = await files.lstat(next)
    if (!found.isSymbolicLink()) {
      if (found.isDirectory() && left.length > 0) checkFolder(found, path, trust)
      reached = next
      continue
    }
    if (!isTrusted(found, trust) || ++links > MAX_LINKS) throw new FileError('unsafe_link', path)
    const target = await files.readlink(next)
    if (isAbsolute(target)) reached = '/'
    left.unshift(...partsOf(target))
  }
  return reached
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}

function isTrusted({ uid }: Stats, trust: Trust): boolean {
  return uid === trust.uid || uid === 0
}

function checkFolder(folder: Stats, path: string, trust: Trust): void {
  // In a folder with the sticky bit, such as /tmp, users rename only what belongs to them.
  if (!isTrusted(folder, trust) || (isWritableByOthers(folder, trust) && (folder.mode & STICKY) === 0)) {
    throw new FileError('unsafe_link', path)
  }
}

/** Group permissions for the user's own group do not count: many distributions give each user a group and a umask of 002. */
export function isWritableByOthers({ mode, gid }: Stats, trust: Trust = ownTrust): boolean {
  return (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== trust.gid && gid !== 0)
}
