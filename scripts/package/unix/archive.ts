// Makes the archive of an executable for Linux or macOS, with its install script.
import { chmod, cp, mkdir, rm, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { filesBelow, runTool } from '../tools.ts'

const INSTALL = fileURLToPath(new URL('install.sh', import.meta.url))

export interface Archive {
  /** The file name without `.tar.gz`, and the name of the folder in the archive. */
  readonly name: string
  readonly executable: string
  readonly notices: string
  /** The time of all files, in Unix seconds. */
  readonly time: number
}

/** @param work a folder for temporary files @returns the path of the archive */
export async function makeArchive({ name, executable, notices, time }: Archive, out: string, work: string) {
  const folder = join(work, name)
  await mkdir(folder)
  for (const [from, to] of [
    [executable, 'cadzero-auth'],
    [INSTALL, 'install.sh'],
    [notices, 'THIRD-PARTY-NOTICES.txt'],
    ['dist/cadzero-auth.1', 'cadzero-auth.1'],
  ] as const) {
    await cp(from, join(folder, to))
    await chmod(join(folder, to), /^[^.]+$|\.sh$/.test(to) ? 0o755 : 0o644)
  }
  for (const path of await filesBelow(folder)) await utimes(path, time, time)
  const path = join(out, `${name}.tar.gz`)
  const reproducible = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--format=ustar']
  runTool('tar', [...reproducible, '-C', work, '-czf', path, name], 'tar', { GZIP: '-n' })
  await rm(folder, { recursive: true })
  return path
}
