// The programs that `cadzero-auth update` downloads: each compressed by itself, so that nothing has to be unpacked but one file.
import { createReadStream, createWriteStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { constants, createGzip } from 'node:zlib'
import type { ProgramName } from '../../src/update/manifest.ts'
import { digestOf } from './package.ts'
import type { Target } from './targets.ts'
import type { UpdateProgram } from './update.ts'

/** @returns the program that is in each file, by the file's name */
export async function compressPrograms(
  folder: string,
  version: string,
  targets: readonly Target[],
  out: string,
): Promise<ReadonlyMap<string, UpdateProgram>> {
  const programs = new Map<string, UpdateProgram>()
  for (const { name: target, os } of targets) {
    const stems = os === 'win32' ? ['cadzero-auth', 'cadzero-authd'] : ['cadzero-auth']
    for (const stem of stems) {
      const suffix = os === 'win32' ? '.exe' : ''
      const path = join(folder, `${stem}-${version}-${target}${suffix}`)
      const file = `${stem}-${version}-${target}${suffix}.gz`
      await pipeline(
        createReadStream(path),
        createGzip({ level: constants.Z_BEST_COMPRESSION }),
        createWriteStream(join(out, file)),
      )
      const { size } = await stat(path)
      programs.set(file, { target, name: `${stem}${suffix}` as ProgramName, size, sha256: await digestOf(path) })
    }
  }
  return programs
}
