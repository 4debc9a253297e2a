// Finds programs of the system, by absolute paths so that nothing in the current folder is taken for one.
import { accessSync, constants } from 'node:fs'

/** The first of these paths that can be run; undefined where none can. */
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
