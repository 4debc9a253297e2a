// Installs the npm packages of one target: exact versions, with the integrity from a lockfile.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Target } from './targets.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))

/** @param manifest the folder with package.json and its lockfile @returns the node_modules folder of the target */
export async function fetchPackages({ name, os, cpu }: Pick<Target, 'name' | 'os' | 'cpu'>, manifest = HERE) {
  const lock = await readFile(join(manifest, 'package-lock.json'))
  const digest = createHash('sha256').update(lock).digest('hex').slice(0, 12)
  const folder = join(HERE, '.platforms', `${name}-${digest}`)
  if (existsSync(folder)) return join(folder, 'node_modules')
  const unfinished = `${folder}.${process.pid}`
  await mkdir(unfinished, { recursive: true })
  for (const file of ['package.json', 'package-lock.json']) await cp(join(manifest, file), join(unfinished, file))
  const system = [`--os=${os}`, `--cpu=${cpu}`, '--libc=glibc']
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--silent', ...system], {
    cwd: unfinished,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32', // npm is a .cmd file on Windows
  })
  await rename(unfinished, folder).catch(async (error) => {
    await rm(unfinished, { recursive: true })
    if (!existsSync(folder)) throw error // otherwise another build has finished first
  })
  return join(folder, 'node_modules')
}
