// Makes the files of a release out of the executables: archives, packages and the installer.
import { cp, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeDeb, makeRpm } from './linux/packages.ts'
import type { Target } from './targets.ts'
import { runTool } from './tools.ts'
import { makeArchive } from './unix/archive.ts'
import { makeInstaller } from './windows/installer.ts'

export interface Executables {
  /** The folder with the executables, the notices and the bill of materials. */
  readonly folder: string
  readonly version: string
  /** The time of the commit, in Unix seconds: that of all files in the packages. */
  readonly time: number
}

/** @param onFile told about each file with its name @param work an empty folder for temporary files */
export async function assemble(
  { folder, version, time }: Executables,
  targets: readonly Target[],
  out: string,
  work: string,
  onFile: (path: string) => void,
): Promise<void> {
  const notices = join(folder, 'THIRD-PARTY-NOTICES.txt')
  for (const { name, os, cpu } of targets) {
    const executable = join(folder, `cadzero-auth-${version}-${name}`)
    if (os === 'win32') {
      const [console, windowed] = [`${executable}.exe`, join(folder, `cadzero-authd-${version}-${name}.exe`)]
      onFile(await makeInstaller({ console, windowed, notices, version, time }, out))
      onFile(
        await makeZip({ console, windowed, notices }, join(out, `cadzero-auth-${version}-${name}.zip`), time, work),
      )
      continue
    }
    onFile(await makeArchive({ name: `cadzero-auth-${version}-${name}`, executable, notices, time }, out, work))
    if (os !== 'linux') continue
    const from = { executable, notices, version, cpu, time }
    onFile(await makeDeb(from, out, work))
    onFile(await makeRpm(from, out, work))
  }
}

interface WindowsPair {
  readonly console: string
  readonly windowed: string
  readonly notices: string
}

/** The two programs as users name them, for scoop and for a folder by hand. */
async function makeZip({ console, windowed, notices }: WindowsPair, path: string, time: number, work: string) {
  const folder = join(work, 'zip')
  await mkdir(folder)
  const names = ['cadzero-auth.exe', 'cadzero-authd.exe', 'THIRD-PARTY-NOTICES.txt']
  for (const [index, from] of [console, windowed, notices].entries()) await cp(from, join(folder, String(names[index])))
  const touch = names.map((name) => join(folder, name))
  runTool('touch', ['--no-dereference', `--date=@${time}`, ...touch], 'coreutils')
  const zip = ['--format', 'zip', '--uid', '0', '--gid', '0', '-C', folder, '-cf', path, ...names]
  runTool('bsdtar', zip, 'libarchive-tools', { TZ: 'UTC' }) // zip has local times
  await rm(folder, { recursive: true })
  return path
}
