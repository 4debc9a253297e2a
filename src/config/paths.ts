// The paths of the daemon's files: in the platform's folders, or all below CADZERO_AUTH_HOME.
import { posix, win32 } from 'node:path'
import {
  absolutePath,
  type BaseFolder,
  checkBaseFolders,
  type HomeSystem,
  homeFolder,
  systemHome,
} from '../host/home.ts'

export interface Folders {
  readonly config: string
  readonly data: string
  readonly log: string
  readonly sessions: string
  readonly discoveryFile: string
  readonly configFile: string
  readonly logFile: string
  readonly lockFile: string
  /** The store key as a JWK, for a machine without a keyring. */
  readonly keyFile: string
  /** The store key, encrypted with a passphrase. */
  readonly wrappedKeyFile: string
  /** The folder into which the single executable unpacks its native addon. */
  readonly addon: string
  /** The newest release that `update` has seen. */
  readonly updateFile: string
  /** Written by an add-in that has installed the program. */
  readonly installerFile: string
}

/**
 * The home folder is looked up only if a path depends on it.
 * @throws EnvironmentError if a variable has no absolute path, or there is no home folder
 */
export function locateFolders(env: NodeJS.ProcessEnv, system: HomeSystem = systemHome): Folders {
  const { join } = pathsOf(system)
  const { config, data, log } = locate(env, system)
  return {
    config,
    data,
    log,
    sessions: join(config, 'sessions'),
    discoveryFile: join(data, 'endpoint.json'),
    configFile: join(config, 'config.json'),
    logFile: join(log, 'daemon.log'),
    lockFile: join(data, 'daemon.lock'),
    keyFile: join(data, 'store-key.jwk'),
    wrappedKeyFile: join(data, 'store-key.jwe'),
    addon: join(data, 'addon'),
    updateFile: join(data, 'update.json'),
    installerFile: join(data, 'installed-by.json'),
  }
}

/** The folders that the environment names, in or below which the daemon's folders are. @throws as `locateFolders` */
export function baseFolders(env: NodeJS.ProcessEnv, system: HomeSystem = systemHome): BaseFolder[] {
  return [...locate(env, system).bases.values()]
}

/** The folders, with those of the environment checked. @throws EnvironmentError if there is none, or this user cannot use it */
export function usableFolders(env: NodeJS.ProcessEnv): Folders {
  checkBaseFolders(baseFolders(env))
  return locateFolders(env)
}

type Kind = 'config' | 'data' | 'log'

interface Place {
  /** A variable that overrides the platform's folder. */
  readonly variable?: string
  /** The platform's folder, below the home folder. */
  readonly below: readonly string[]
  /** The program's folder in it. */
  readonly name: readonly string[]
}

const NAME = 'cadzero-auth'

// The folders of the package env-paths without a suffix, so that the Python client finds the same ones.
const PLACES: Readonly<Record<'win32' | 'darwin' | 'xdg', Readonly<Record<Kind, Place>>>> = {
  win32: {
    config: { variable: 'APPDATA', below: ['AppData', 'Roaming'], name: [NAME, 'Config'] },
    data: { variable: 'LOCALAPPDATA', below: ['AppData', 'Local'], name: [NAME, 'Data'] },
    log: { variable: 'LOCALAPPDATA', below: ['AppData', 'Local'], name: [NAME, 'Log'] },
  },
  darwin: {
    config: { below: ['Library', 'Preferences'], name: [NAME] },
    data: { below: ['Library', 'Application Support'], name: [NAME] },
    log: { below: ['Library', 'Logs'], name: [NAME] },
  },
  xdg: {
    config: { variable: 'XDG_CONFIG_HOME', below: ['.config'], name: [NAME] },
    data: { variable: 'XDG_DATA_HOME', below: ['.local', 'share'], name: [NAME] },
    log: { variable: 'XDG_STATE_HOME', below: ['.local', 'state'], name: [NAME] },
  },
}

interface Located extends Readonly<Record<Kind, string>> {
  readonly bases: ReadonlyMap<string, BaseFolder>
}

function locate(env: NodeJS.ProcessEnv, system: HomeSystem): Located {
  const { platform } = system
  const { join } = pathsOf(system)
  const bases = new Map<string, BaseFolder>()
  const base = (variable: string, path: string): string => {
    bases.set(variable, { variable, path })
    return path
  }
  if (env.CADZERO_AUTH_HOME) {
    const own = base('CADZERO_AUTH_HOME', absolutePath('CADZERO_AUTH_HOME', env.CADZERO_AUTH_HOME, platform))
    return { config: join(own, 'config'), data: join(own, 'data'), log: join(own, 'log'), bases }
  }
  const place = ({ variable, below, name }: Place): string => {
    const given = variable === undefined ? undefined : env[variable]
    if (variable !== undefined && given) return join(base(variable, absolutePath(variable, given, platform)), ...name)
    const home = base(platform === 'win32' ? 'USERPROFILE' : 'HOME', homeFolder(env, system))
    return join(home, ...below, ...name)
  }
  const { config, data, log } = PLACES[platform === 'win32' || platform === 'darwin' ? platform : 'xdg']
  return { config: place(config), data: place(data), log: place(log), bases }
}

function pathsOf({ platform }: HomeSystem): typeof posix {
  return platform === 'win32' ? win32 : posix
}
