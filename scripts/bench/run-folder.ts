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

/**
 * Also ends this process on SIGINT, on SIGTERM, and after the given time.
 * @param name a word for the folder, such as `bench`
 */
export function newRunFolder(name: string, maxMs?: number): RunFolder {
  const path = mkdtempSync(join(tmpdir(), `cadzero-auth-${name}-`))
  process.env.TMPDIR = join(path, 'tmp')
  mkdirSync(process.env.TMPDIR)
  const end = startReaper(path, 'ignore')
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))
  if (maxMs !== undefined) {
    setTimeout(() => {
      process.stderr.write(`error: the ${name} did not end in time\n`)
      process.exit(1)
    }, maxMs).unref()
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
