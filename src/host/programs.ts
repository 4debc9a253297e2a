// Finds programs of the system by absolute paths, so that no program in the current folder is started instead.
import { accessSync, constants } from 'node:fs'

/** The first of these paths that is executable; undefined if none is. */
export function findProgram(paths: readonly string[]): string | undefined {
  return paths.find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
