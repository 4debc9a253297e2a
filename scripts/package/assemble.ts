// Makes the files of a release out of the executables: archives, packages and the installer.
import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
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
  process.umask(0o022) // all users may read the files of a package, whatever the umask of the build is
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
  // From a list: a file of the folder also has the times of its last change and access, which bsdtar would keep.
  const entries = names.map((name) => `${name} type=file mode=0644 uid=0 gid=0 time=${time}.0\n`)
  await writeFile(join(folder, 'list'), `#mtree\n${entries.join('')}`)
  const zip = ['--format', 'zip', '-C', folder, '-cf', path, '@list']
  runTool('bsdtar', zip, 'libarchive-tools', { TZ: 'UTC' }) // zip has local times
  await rm(folder, { recursive: true })
  return path
}
