// Who updates this program: it updates itself only if a person has put it there by hand.
import { posix, win32 } from 'node:path'
import { type FileSystem, readPrivateFile } from '../host/files.ts'

/** A program that updates this one. The hint is what the user does. */
export interface Owner {
  readonly name: string
  readonly hint: string
}

export interface Place {
  readonly files: FileSystem
  readonly platform: NodeJS.Platform
  /** The path of the executable or of the script, without links. */
  readonly program: string
  readonly isExecutable: boolean
  readonly version: string
  /** The file with which an add-in says which program it has installed. */
  readonly markFile: string
}

const LARGEST_MARK = 16 * 1024

const SCRIPTS: readonly (readonly [RegExp, Owner])[] = [
  [/\/node_modules\//, { name: 'npm', hint: 'install the newer package with npm' }],
  [/./, { name: 'npm run build', hint: 'get the newer sources, then run npm ci and npm run build' }],
]

// scoop updates no program that runs.
const SCOOP: Owner = { name: 'scoop', hint: 'run cadzero-auth daemon --stop, then scoop update cadzero-auth' }

const EXECUTABLES: readonly (readonly [RegExp, Owner])[] = [
  [/\/(?:cellar|homebrew|linuxbrew)\//i, { name: 'Homebrew', hint: 'brew upgrade cadzero-auth' }],
  [/\/scoop\/apps\//i, SCOOP],
  [/^\/nix\/store\//, { name: 'Nix', hint: 'update it as you have installed it' }],
]

const PACKAGE = { name: 'the package manager', hint: 'install the newer package as you have installed this one' }
const DEBIAN = { name: 'apt', hint: 'install the newer .deb package with sudo apt-get install ./FILE' }
const RPM = { name: 'dnf', hint: 'install the newer .rpm package with sudo dnf install ./FILE' }
const INSTALLER = {
  name: 'the installer',
  hint: 'run the installer of the newer version, or winget upgrade CADZERO.SignIn',
}
const ADD_IN = { name: 'the CADZERO add-in', hint: 'update the add-in: it brings the newer program along' }

/** Undefined if this program updates itself. */
export async function ownerOf(place: Place): Promise<Owner | undefined> {
  const { files, platform, program, isExecutable } = place
  const path = platform === 'win32' ? program.replaceAll('\\', '/') : program
  const named = (isExecutable ? EXECUTABLES : SCRIPTS).find(([pattern]) => pattern.test(path))
  if (named) return named[1]
  const exists = async (file: string) => (await files.stat(file).catch(() => undefined)) !== undefined
  if (platform !== 'win32' && /^\/(?:usr\/)?s?bin\//.test(path)) {
    if (await exists('/var/lib/dpkg/info/cadzero-auth.list')) return DEBIAN
    return (await exists('/usr/bin/dnf')) ? RPM : PACKAGE
  }
  const { dirname, join } = platform === 'win32' ? win32 : posix
  const folder = dirname(program)
  if (platform === 'win32' && (await exists(join(folder, 'uninstall.exe')))) return INSTALLER
  if (platform === 'win32' && (await exists(join(folder, 'install.json')))) return SCOOP // the folder of its apps has any name
  return (await isMarked(place)) ? ADD_IN : undefined
}

/** A mark of another version or another path is left over: since then the user has put another program there. */
async function isMarked({ files, markFile, program, version }: Place): Promise<boolean> {
  try {
    const mark = JSON.parse(String(await readPrivateFile(files, markFile, LARGEST_MARK))) as Record<string, unknown>
    return mark.program === program && mark.version === version
  } catch {
    return false
  }
}
