// Makes a single executable with Node's own builder: Node, the launcher, and the program and the addon as assets.
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Parts {
  /** The Node that builds. It must have the version of `node`, which could not read another version's data. */
  readonly builder: string
  readonly node: string
  /** A file name in the work folder. A bare name, since the executable keeps it. */
  readonly main: string
  readonly assets: Readonly<Record<string, string>>
}

/** The settings that all executables share. */
export const COMMON = {
  disableExperimentalSEAWarning: true,
  useSnapshot: false,
  useCodeCache: false, // the launcher is small, and the program has a code cache of its own
}

/** @param work a folder for temporary files, which contains `main` */
export async function buildExecutable({ builder, node, main, assets }: Parts, output: string, work: string) {
  const config = {
    ...COMMON,
    main,
    output,
    executable: node,
    execArgv: ['--disable-sigusr1'], // no debugger by a signal, from the start
    execArgvExtension: 'none', // ignores NODE_OPTIONS, which could open a debugger or load other code
    assets,
  }
  const path = join(work, 'sea.json')
  await writeFile(path, JSON.stringify(config))
  execFileSync(builder, ['--build-sea', path], { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] })
}
