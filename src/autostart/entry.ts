// The autostart entry as a file (a unit or a property list), and its comparison with the entry that this program would write.
import { dirname } from 'node:path'
import { type FileSystem, readOwnFile, removePrivateFile, writePrivateFile } from '../host/files.ts'
import type { Problem } from './service-manager.ts'

const LARGEST_BYTES = 64 * 1024

/** Undefined if there is no entry. @throws FileError if it is not the user's own plain file, or a system error */
export async function readEntry(files: FileSystem, path: string): Promise<string | undefined> {
  return (await readOwnFile(files, path, LARGEST_BYTES, false))?.toString('utf8')
}

/** Creates missing parent folders, and leaves existing ones unchanged. @throws a system error */
export async function writeEntry(files: FileSystem, path: string, text: string): Promise<void> {
  await files.mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writePrivateFile(files, path, text)
}

/** @param before the entry to restore; undefined to remove it @throws a system error */
export async function restoreEntry(files: FileSystem, path: string, before: string | undefined): Promise<void> {
  if (before === undefined) await removePrivateFile(files, path)
  else await writePrivateFile(files, path, before)
}

/** The argument that follows the program in every entry. */
export const DAEMON = 'daemon'

/** The program (and the script) of an entry's command line, without the arguments. */
export function programOf(words: readonly string[]): string[] {
  return words.slice(0, Math.max(0, words.indexOf(DAEMON)))
}

/**
 * @param actual the program that the entry starts, as paths
 * @param expected the program that this program would enter
 * @param isCurrent whether the rest of the entry is as this program would write it
 */
export async function problemOf(
  files: FileSystem,
  actual: readonly string[],
  expected: readonly string[],
  isCurrent: boolean,
): Promise<Problem | null> {
  const found = await Promise.all(actual.map((path) => files.stat(path).catch(() => undefined)))
  if (actual.length === 0 || found.includes(undefined)) return 'missing_target'
  if (actual.join('\0') !== expected.join('\0')) return 'other_program'
  return isCurrent ? null : 'outdated'
}
