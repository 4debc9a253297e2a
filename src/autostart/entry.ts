// The entry as a file: written whole, read only where it is a plain file of ours, and judged against what we would write.
import { dirname } from 'node:path'
import { type FileSystem, readOwnFile, removePrivateFile, writePrivateFile } from '../host/files.ts'
import type { Problem } from './service-manager.ts'

const LARGEST = 64 * 1024

/** @returns undefined where there is none @throws FileError, or a system error */
export async function readEntry(files: FileSystem, path: string): Promise<string | undefined> {
  return (await readOwnFile(files, path, LARGEST, false))?.toString('utf8')
}

/** The folders above it are made where they are missing, and left as they are where not. @throws a system error */
export async function writeEntry(files: FileSystem, path: string, text: string): Promise<void> {
  await files.mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writePrivateFile(files, path, text)
}

/** Puts back what was there before. @throws a system error */
export async function restoreEntry(files: FileSystem, path: string, before: string | undefined): Promise<void> {
  if (before === undefined) await removePrivateFile(files, path)
  else await writePrivateFile(files, path, before)
}

/** What comes after the program in every entry. */
export const DAEMON = 'daemon'

/** The program (and script) of a command line that we have entered, without its arguments. */
export function programOf(words: readonly string[]): string[] {
  return words.slice(0, Math.max(0, words.indexOf(DAEMON)))
}

/**
 * @param found the program that the entry starts, as paths
 * @param wanted the one that this program would enter
 * @param same whether the whole entry is as this program would write it
 */
export async function problemOf(
  files: FileSystem,
  found: readonly string[],
  wanted: readonly string[],
  same: boolean,
): Promise<Problem | null> {
  const there = await Promise.all(found.map((path) => files.stat(path).catch(() => undefined)))
  if (found.length === 0 || there.includes(undefined)) return 'missing_target'
  if (found.join('\0') !== wanted.join('\0')) return 'other_program'
  return same ? null : 'outdated'
}
