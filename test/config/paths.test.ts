// The paths of the daemon's files, and the environments in which there are none.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, test } from 'vitest'
import { baseFolders, locateFolders } from '../../src/config/paths.ts'
import type { HomeSystem } from '../../src/host/home.ts'
import { isWindows, needs } from '../support/posix.ts'

const system = (platform: NodeJS.Platform, home: string | undefined): HomeSystem => ({
  platform,
  registeredHome: () => home,
})
const linux = system('linux', '/home/ada')
const homeless = system('linux', undefined)
const mac = system('darwin', '/Users/ada')
const windows = system('win32', 'C:\\Users\\Ada')

test('every path is below CADZERO_AUTH_HOME if it is set', () => {
  expect(locateFolders({ CADZERO_AUTH_HOME: '/home/ada/cz' }, linux)).toEqual({
    config: '/home/ada/cz/config',
    addon: '/home/ada/cz/data/addon',
    installerFile: '/home/ada/cz/data/installed-by.json',
    updateFile: '/home/ada/cz/data/update.json',
    data: '/home/ada/cz/data',
    log: '/home/ada/cz/log',
    sessions: '/home/ada/cz/config/sessions',
    discoveryFile: '/home/ada/cz/data/endpoint.json',
    configFile: '/home/ada/cz/config/config.json',
    logFile: '/home/ada/cz/log/daemon.log',
    lockFile: '/home/ada/cz/data/daemon.lock',
    keyFile: '/home/ada/cz/data/store-key.jwk',
    wrappedKeyFile: '/home/ada/cz/data/store-key.jwe',
  })
})

describe('the folders of the platform', () => {
  it.each([
    [
      linux,
      {},
      '/home/ada/.config/cadzero-auth',
      '/home/ada/.local/share/cadzero-auth',
      '/home/ada/.local/state/cadzero-auth',
    ],
    [
      linux,
      { HOME: '/h', XDG_DATA_HOME: '/d' },
      '/h/.config/cadzero-auth',
      '/d/cadzero-auth',
      '/h/.local/state/cadzero-auth',
    ],
    [
      linux,
      { XDG_CONFIG_HOME: '', XDG_STATE_HOME: '/s' },
      '/home/ada/.config/cadzero-auth',
      '/home/ada/.local/share/cadzero-auth',
      '/s/cadzero-auth',
    ],
    [
      mac,
      { XDG_DATA_HOME: '/ignored' },
      '/Users/ada/Library/Preferences/cadzero-auth',
      '/Users/ada/Library/Application Support/cadzero-auth',
      '/Users/ada/Library/Logs/cadzero-auth',
    ],
    [
      windows,
      {},
      'C:\\Users\\Ada\\AppData\\Roaming\\cadzero-auth\\Config',
      'C:\\Users\\Ada\\AppData\\Local\\cadzero-auth\\Data',
      'C:\\Users\\Ada\\AppData\\Local\\cadzero-auth\\Log',
    ],
    [
      windows,
      { APPDATA: 'D:\\R', LOCALAPPDATA: 'D:\\L' },
      'D:\\R\\cadzero-auth\\Config',
      'D:\\L\\cadzero-auth\\Data',
      'D:\\L\\cadzero-auth\\Log',
    ],
  ] as const)('%# are those that the system and the variables say', (where, env, config, data, log) => {
    expect(locateFolders(env, where)).toMatchObject({ config, data, log })
  })

  it
    .skipIf(isWindows)
    .each([
      {},
      { XDG_CONFIG_HOME: '/c', XDG_DATA_HOME: '/d', XDG_STATE_HOME: '/s' },
      { XDG_CONFIG_HOME: '', XDG_DATA_HOME: '/d with spaces' },
    ])(`are those of the package env-paths with %j${needs('the folders of Linux or macOS')}`, (variables) => {
    const env = { HOME: '/home/ada lovelace', PATH: process.env.PATH, ...variables }
    const code = `import envPaths from 'env-paths'; console.log(JSON.stringify(envPaths('cadzero-auth', { suffix: '' })))`
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env,
      encoding: 'utf8',
    })
    const { config, data, log } = JSON.parse(output)
    expect(locateFolders(env)).toMatchObject({ config, data, log })
  })
})

describe('a home folder', () => {
  it('is not needed with CADZERO_AUTH_HOME, nor if the XDG variables name every folder', () => {
    expect(locateFolders({ CADZERO_AUTH_HOME: '/x' }, homeless).data).toBe('/x/data')
    expect(locateFolders({ CADZERO_AUTH_HOME: '/x', HOME: 'relative' }, homeless).data).toBe('/x/data')
    const xdg = { XDG_CONFIG_HOME: '/c', XDG_DATA_HOME: '/d', XDG_STATE_HOME: '/s' }
    expect(locateFolders(xdg, homeless).log).toBe('/s/cadzero-auth')
    expect(baseFolders({ ...xdg, HOME: '/nonexistent' }, homeless).map(({ variable }) => variable)).toEqual(
      Object.keys(xdg),
    )
  })

  it('is needed otherwise', () => {
    expect(() => locateFolders({ XDG_CONFIG_HOME: '/c', XDG_DATA_HOME: '/d' }, homeless)).toThrow('HOME is not set')
  })
})

describe('a path that depends on the working folder', () => {
  it.each([
    [linux, 'XDG_CONFIG_HOME', '.config'],
    [linux, 'XDG_DATA_HOME', '~/.local/share'],
    [linux, 'XDG_STATE_HOME', '$HOME/.local/state'],
    [linux, 'HOME', 'home/ada'],
    [linux, 'CADZERO_AUTH_HOME', 'cz'],
    [linux, 'CADZERO_AUTH_HOME', '~/cz'],
    [mac, 'CADZERO_AUTH_HOME', '~/cz'],
    [windows, 'APPDATA', '%USERPROFILE%\\AppData\\Roaming'],
    [windows, 'LOCALAPPDATA', 'AppData\\Local'],
    [windows, 'CADZERO_AUTH_HOME', '\\cz'],
  ] as const)('%# is refused by the name of its variable', (where, variable, path) => {
    expect(() => locateFolders({ [variable]: path }, where)).toThrow(
      expect.objectContaining({
        name: 'EnvironmentError',
        variable,
        message: `${variable} is not an absolute path: ${JSON.stringify(path)}`,
      }),
    )
  })

  it('is refused in a variable that is not UTF-8 as well', () => {
    expect(() => locateFolders({ XDG_DATA_HOME: '/donn\ufffdes' }, linux)).toThrow(
      'the path in XDG_DATA_HOME is not valid UTF-8',
    )
  })
})

test('the base folders are those that the environment names, each once', () => {
  expect(baseFolders({ CADZERO_AUTH_HOME: '/x' }, linux)).toEqual([{ variable: 'CADZERO_AUTH_HOME', path: '/x' }])
  expect(baseFolders({ XDG_DATA_HOME: '/d' }, linux)).toEqual([
    { variable: 'HOME', path: '/home/ada' },
    { variable: 'XDG_DATA_HOME', path: '/d' },
  ])
})
