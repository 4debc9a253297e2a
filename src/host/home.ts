// The user's home folder, and the working folder of programs that are started in the background.
import { accessSync, constants, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname, posix, win32 } from 'node:path'

/** A variable of the environment names no folder that can be used. */
export class EnvironmentError extends Error {
  /** @param variable its name, such as `HOME` */
  constructor(
    readonly variable: string,
    message: string,
    readonly hint: string,
  ) {
    super(message)
    this.name = 'EnvironmentError'
  }
}

/** The system as far as folders depend on it. */
export interface HomeSystem {
  readonly platform: NodeJS.Platform
  /** The home folder in the system's list of users; undefined if the user is not in the list. */
  readonly registeredHome: () => string | undefined
}

export const systemHome: HomeSystem = {
  platform: process.platform,
  registeredHome() {
    try {
      return userInfo().homedir
    } catch {
      return undefined
    }
  },
}

/**
 * The path in a variable. It is absolute: with another one, the files would depend on the working folder.
 * @throws EnvironmentError
 */
export function absolutePath(variable: string, path: string, platform: NodeJS.Platform): string {
  // Node replaces each byte that is not UTF-8, so that the path would name another folder.
  if (path.includes('\ufffd')) {
    throw new EnvironmentError(
      variable,
      `the path in ${variable} is not valid UTF-8, so that the folder cannot be opened`,
      'set CADZERO_AUTH_HOME to a folder whose path is valid UTF-8',
    )
  }
  if (!isAbsolute(path, platform)) {
    throw new EnvironmentError(
      variable,
      `${variable} is not an absolute path: ${JSON.stringify(path)}`,
      variable === 'HOME' || variable === 'CADZERO_AUTH_HOME'
        ? `set ${variable} to an absolute path`
        : `set ${variable} to an absolute path, or unset it`,
    )
  }
  return path
}

/** On Windows, `\folder` and `C:folder` depend on the current drive or its current folder. */
function isAbsolute(path: string, platform: NodeJS.Platform): boolean {
  return platform === 'win32' ? /^([a-z]:[\\/]|[\\/]{2})/i.test(path) : posix.isAbsolute(path)
}

/** The home folder of the user. An empty variable counts as not set. @throws EnvironmentError */
export function homeFolder(env: NodeJS.ProcessEnv, { platform, registeredHome }: HomeSystem = systemHome): string {
  const variable = platform === 'win32' ? 'USERPROFILE' : 'HOME'
  const home = env[variable] || registeredHome()
  if (!home) {
    throw new EnvironmentError(
      variable,
      `${variable} is not set, and the system has no home folder for this user`,
      `set ${variable}, or set CADZERO_AUTH_HOME to an absolute path`,
    )
  }
  return absolutePath(variable, home, platform)
}

/**
 * A folder that exists: the home folder, or else the root of the system. A program in the background runs there, so that it
 * keeps no disk in use and does not depend on a folder that is deleted meanwhile.
 */
export function workingFolder(env: NodeJS.ProcessEnv, system: HomeSystem = systemHome): string {
  const root = system.platform === 'win32' ? win32.parse(env.SystemRoot || 'C:\\').root : '/'
  try {
    const home = homeFolder(env, system)
    if (!statSync(home).isDirectory()) return root
    accessSync(home, constants.X_OK)
    return home
  } catch {
    return root
  }
}

/** A folder that files are kept in or below, and the variable that names it. */
export interface BaseFolder {
  readonly variable: string
  readonly path: string
}

/**
 * Refuses a home folder that does not exist, and folders of another user if this is root: what root makes there is closed to
 * that user from then on.
 * @param uid the user of this process; undefined on Windows
 * @throws EnvironmentError
 */
export function checkBaseFolders(bases: readonly BaseFolder[], uid: number | undefined = process.getuid?.()): void {
  // Both facts are always computed, so that a build by root runs the same code as one by another user (scripts/code-cache.cjs).
  const isRoot = uid === 0
  for (const { variable, path } of bases) {
    if ((variable === 'HOME' || variable === 'USERPROFILE') && !isFolder(path)) {
      throw new EnvironmentError(
        variable,
        `the home folder does not exist: ${path}`,
        `set ${variable} to a folder that exists, or set CADZERO_AUTH_HOME to an absolute path`,
      )
    }
    if (!isOwnedByRoot(path) && isRoot) {
      throw new EnvironmentError(
        variable,
        `this is root, but ${path} belongs to another user (${variable})`,
        'run it without sudo, or set CADZERO_AUTH_HOME to a folder of root',
      )
    }
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    // A folder that cannot be looked at exists; opening a file in it fails with the reason.
    return !['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')
  }
}

/** Whether the folder belongs to root, or would if it were made: then that of the nearest folder above it counts. */
function isOwnedByRoot(path: string): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      return statSync(folder).uid === 0
    } catch {
      if (folder === dirname(folder)) return true
    }
  }
}
