// The folder of a bench or a trial, and all processes in it. When the run ends, however it ends, none of them goes on.
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startReaper } from '../../test/support/run-folder.ts'

export interface RunFolder {
  readonly path: string
  /** Ends every process that was started with `plainEnvironment`, detached ones included, and removes the folder. */
  end(): Promise<void>
}

const children = new Set<ChildProcess>()

interface Limit {
  readonly maxMs: number
  /** Is called if the time is over, before this process ends. */
  readonly onLate: () => void
}

/**
 * Also ends this process on SIGINT, on SIGTERM and SIGHUP, and at its limit.
 * @param name a word for the folder, such as `bench`
 * @throws a system error if the folder for temporary files cannot be written
 */
export function newRunFolder(name: string, limit?: Limit): RunFolder {
  const path = mkdtempSync(join(tmpdir(), `cadzero-auth-${name}-`))
  process.env.TMPDIR = join(path, 'tmp')
  mkdirSync(process.env.TMPDIR)
  const end = startReaper(path, 'ignore')
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))
  if (limit !== undefined) {
    setTimeout(() => {
      process.stderr.write(
        `error: the ${name} did not end in ${limit.maxMs / 1000} s: the machine is too slow or too busy\n`,
      )
      limit.onLate()
      process.exit(0)
    }, limit.maxMs).unref()
  }
  process.on('exit', () => {
    for (const child of children) child.kill('SIGKILL') // at once, and on systems whose processes the reaper does not find
  })
  return { path, end }
}

/** Ends this child process with the run, if it still runs. */
export function keep<C extends ChildProcess>(child: C): C {
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}
