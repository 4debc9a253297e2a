// The folder that a build fills. It replaces what an earlier build has left there, and nothing else.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join, resolve, sep } from 'node:path'
import { NotReleasable } from './releasable.ts'

const OWN = ['dist-bin', 'dist-release'] // of this repository, and ignored by git
const CHECKSUMS = 'SHA256SUMS'
const DIGEST = 66 // characters of a line before the path

/** Empties the folder, or makes it. @throws {NotReleasable} as requireReplaceable does */
export async function makeEmptyFolder(folder: string): Promise<void> {
  await requireReplaceable(folder)
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
}

/** @throws {NotReleasable} if the folder has files that no build has made: it may be the home folder, or an add-in */
export async function requireReplaceable(folder: string): Promise<void> {
  const path = resolve(folder)
  if (OWN.some((own) => `${path}${sep}`.startsWith(resolve(own) + sep))) return
  const text = await readFile(join(path, CHECKSUMS), 'utf8').catch(unlessMissing(''))
  const built = new Set([CHECKSUMS, ...text.split('\n').map((line) => line.slice(DIGEST).split(/[\\/]/)[0])])
  const foreign = (await readdir(path).catch(unlessMissing([]))).find((name) => !built.has(name))
  if (foreign === undefined) return
  throw new NotReleasable(
    `${path} would be emptied, but has files of no build: ${foreign}`,
    'name another folder with --out, or empty it yourself',
  )
}

function unlessMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return value
  }
}
