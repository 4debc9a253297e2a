// SIGHUP: the terminal of a program was closed.
import { fstatSync } from 'node:fs'
import { basename } from 'node:path'
import { isatty } from 'node:tty'

export type Output = 'terminal' | 'pipe' | 'other'

/**
 * Whether SIGHUP ends a server program. Under nohup it must not, but Node has undone what nohup had set before it runs any
 * code of ours. What remains visible: nohup has taken the terminal from standard output and standard error, and most shells
 * name the program that they start in the variable `_`. On Windows the signal cannot be ignored.
 */
export function endsAtHangUp(
  env: NodeJS.ProcessEnv,
  outputs: readonly Output[] = [outputOf(1), outputOf(2)],
  platform: NodeJS.Platform = process.platform,
): boolean {
  if (platform === 'win32') return true
  if (basename(env._ ?? '') === 'nohup') return false
  return outputs.includes('terminal') || outputs[0] === 'pipe'
}

/** Ignores SIGHUP, unless it ends the program. Call this first: by default the signal ends a process. */
export function ignoreHangUp(env: NodeJS.ProcessEnv): void {
  if (!endsAtHangUp(env)) process.on('SIGHUP', () => undefined)
}

function outputOf(descriptor: number): Output {
  if (isatty(descriptor)) return 'terminal'
  try {
    const found = fstatSync(descriptor)
    return found.isFIFO() || found.isSocket() ? 'pipe' : 'other'
  } catch {
    return 'other'
  }
}
