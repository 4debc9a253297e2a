// Makes the npm package.
import { execFileSync } from 'node:child_process'
import { chmod, cp, mkdir, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { filesBelow } from './tools.ts'

/** @param notices the licences of the packages in dist/ @param work a folder for temporary files */
export async function packForNpm(notices: string, out: string, work: string): Promise<void> {
  const folder = join(work, 'npm')
  await mkdir(folder)
  for (const name of ['package.json', 'README.md', 'dist']) await cp(name, join(folder, name), { recursive: true })
  await cp(notices, join(folder, 'dist', basename(notices)))
  // npm keeps the modes, which files of a checkout have from the umask.
  for (const path of await filesBelow(folder)) await chmod(path, (await stat(path)).mode & 0o100 ? 0o755 : 0o644)
  const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', out]
  execFileSync('npm', pack, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  await rm(folder, { recursive: true })
}
