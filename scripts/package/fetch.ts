// Installs the npm packages of one target: exact versions, with the integrity from a lockfile.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isRunning } from '../../src/host/process-id.ts'
import type { Target } from './targets.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))

export interface Packages extends Pick<Target, 'name' | 'os' | 'cpu'> {
  /** Paths below node_modules that must exist: `npm ci` ends with 0 although it could not download an optional package. */
  readonly files: readonly string[]
}

interface Places {
  /** The folder with package.json and its lockfile. */
  readonly manifest: string
  readonly cache: string
}

export const CACHE = join(HERE, '.platforms')

/** @returns the node_modules folder @throws an error if a package could not be installed; nothing is cached then */
export async function fetchPackages(
  { name, os, cpu, files }: Packages,
  { manifest, cache }: Places = { manifest: HERE, cache: CACHE },
): Promise<string> {
  const lock = await readFile(join(manifest, 'package-lock.json'))
  const digest = createHash('sha256').update(lock).digest('hex').slice(0, 12)
  const folder = join(cache, `${name}-${digest}`)
  const missingIn = (parent: string) => files.filter((file) => !existsSync(join(parent, 'node_modules', file)))
  if (existsSync(folder)) {
    if (missingIn(folder).length === 0) return join(folder, 'node_modules')
    await rm(folder, { recursive: true }) // left by an interrupted removal
  }
  await removeUnfinished(cache)
  const unfinished = `${folder}.${process.pid}`
  try {
    await mkdir(unfinished, { recursive: true })
    for (const file of ['package.json', 'package-lock.json']) await cp(join(manifest, file), join(unfinished, file))
    install(unfinished, [`--os=${os}`, `--cpu=${cpu}`, '--libc=glibc'])
    const missing = missingIn(unfinished)
    if (missing.length > 0) throw new Error(`npm did not install ${missing.join(', ')} (see npm's log); try again`)
    await rename(unfinished, folder).catch((error) => {
      if (!existsSync(folder)) throw error // otherwise another build has finished first
    })
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
  return join(folder, 'node_modules')
}

/** @throws an error if npm fails, or has not written a file to its end: on a full disk it only warns, and ends with 0 */
function install(folder: string, system: readonly string[]): void {
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=warn']
  const { status, error, stderr } = spawnSync('npm', ['ci', ...quiet, '--include=optional', ...system], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    shell: process.platform === 'win32', // npm is a .cmd file on Windows
  })
  if (error !== undefined) throw error
  const [unwritten] = /TAR_ENTRY_ERROR .*/.exec(stderr) ?? []
  if (unwritten !== undefined) throw new Error(`npm could not write a file: ${unwritten}`)
  if (status !== 0) throw new Error(`npm ci ended with ${status}: ${stderr.trim()}`)
}

/** Removes the folders of builds that were killed. */
async function removeUnfinished(cache: string): Promise<void> {
  for (const name of await readdir(cache).catch(() => [])) {
    const [, pid] = /\.(\d+)$/.exec(name) ?? []
    if (pid !== undefined && !isRunning(Number(pid))) await rm(join(cache, name), { recursive: true, force: true })
  }
}

/** The packages with Node and the keyring addon of a target. */
export async function fetchTarget(target: Target): Promise<string> {
  return await fetchPackages({ ...target, files: [target.node, target.addon] })
}

/** The builder, for this computer. */
export async function fetchBuilder({ name, os, cpu }: Target): Promise<string> {
  const files = ['@yao-pkg/pkg/lib-es5/sea.js']
  return await fetchPackages(
    { name: `builder-${name}`, os, cpu, files },
    { manifest: join(HERE, 'builder'), cache: CACHE },
  )
}
