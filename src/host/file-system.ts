// The only access to the file system, and the error for a file that must not be trusted.
import * as fs from 'node:fs/promises'

/** The calls that this program makes. Tests pass an implementation that fails on purpose. */
export type FileSystem = Pick<
  typeof fs,
  | 'open'
  | 'rename'
  | 'unlink'
  | 'mkdir'
  | 'rmdir'
  | 'lstat'
  | 'readdir'
  | 'readlink'
  | 'chmod'
  | 'readFile'
  | 'realpath'
  | 'stat'
>

export const systemFiles: FileSystem = fs

export type FileProblem =
  | 'too_open'
  | 'not_regular'
  | 'foreign_owner'
  | 'too_large'
  | 'not_a_folder'
  | 'unsafe_link'
  | 'broken_link'
  | 'no_access'

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
  too_open: `other users may read or write it; remove their permissions (${
    process.platform === 'win32' ? 'Properties, Security' : 'chmod go-rwx'
  })`,
  not_regular: 'it is not a regular file with one name but a link, a pipe or a device; move it away',
  foreign_owner: 'it belongs to another user; move it away',
  too_large: 'it is too large to be a file of this program; move it away',
  not_a_folder: 'it is not a folder; move it away',
  unsafe_link: 'it is a link that other users could change, or leads through a folder of theirs; remove it',
  broken_link: 'it is a link that leads nowhere; mount the disk with its target, or remove it',
  no_access: 'you may not make it or change it; set CADZERO_AUTH_HOME to a folder of your own',
}

/** The code of a system error (`ENOENT`, …), or undefined. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
