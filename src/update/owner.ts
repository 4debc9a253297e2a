// Who updates this program: it updates itself only if a person has put it there by hand.
import { posix, win32 } from 'node:path'
import { type FileSystem, readOwnFile } from '../host/files.ts'

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
}

/** The file beside the program with which an add-in says that it has installed this version. */
export const MARK = '.cadzero-auth.installed-by'
const LARGEST_MARK = 1024

const SCRIPTS: readonly (readonly [RegExp, Owner])[] = [
  [/\/node_modules\//, { name: 'npm', hint: 'install the newer package with npm' }],
  [/./, { name: 'npm run build', hint: 'get the newer sources, then run npm ci and npm run build' }],
]

const EXECUTABLES: readonly (readonly [RegExp, Owner])[] = [
  [/\/(?:cellar|homebrew|linuxbrew)\//i, { name: 'Homebrew', hint: 'brew upgrade cadzero-auth' }],
  [/\/scoop\/apps\//i, { name: 'scoop', hint: 'scoop update cadzero-auth' }],
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
export async function ownerOf({ files, platform, program, isExecutable, version }: Place): Promise<Owner | undefined> {
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
  return (await isMarked(files, join(folder, MARK), version)) ? ADD_IN : undefined
}

/** A mark with another version is left over: since then the user has put another program there. */
async function isMarked(files: FileSystem, path: string, version: string): Promise<boolean> {
  const mark = await readOwnFile(files, path, LARGEST_MARK, false).catch(() => undefined)
  return mark !== undefined && mark.toString('utf8').trim() === `add-in ${version}`
}
