// Makes a single executable with Node's own builder: Node, our launcher, and the rest as assets.
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Parts {
  /** Of the version that goes in: another one's data it would not read. */
  readonly builder: string
  readonly node: string
  /** In the folder of what is needed meanwhile; the executable remembers this name, so a bare one. */
  readonly main: string
  readonly assets: Readonly<Record<string, string>>
}

/** What the configuration of each executable has. */
export const COMMON = {
  disableExperimentalSEAWarning: true,
  useSnapshot: false,
  useCodeCache: false, // of the launcher, which is small; the program brings its own
}

/** @param work a folder for what is needed meanwhile */
export async function buildExecutable({ builder, node, main, assets }: Parts, output: string, work: string) {
  const config = {
    ...COMMON,
    main,
    output,
    executable: node,
    execArgv: ['--disable-sigusr1'], // no debugger, from the first moment on
    execArgvExtension: 'none', // NODE_OPTIONS is for people who write programs, and for those who attack them
    assets,
  }
  const path = join(work, 'sea.json')
  await writeFile(path, JSON.stringify(config))
  execFileSync(builder, ['--build-sea', path], { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] })
}
