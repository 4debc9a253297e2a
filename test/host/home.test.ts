// The home folder, the folders that root must not use, and the working folder of a program in the background.
import { chmod, chown, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkBaseFolders, EnvironmentError, type HomeSystem, homeFolder, workingFolder } from '../../src/host/home.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

const listed: HomeSystem = { platform: 'linux', registeredHome: () => '/home/ada' }
const unlisted: HomeSystem = { platform: 'linux', registeredHome: () => undefined }
const windows: HomeSystem = { platform: 'win32', registeredHome: () => 'C:\\Users\\Ada' }

const isRoot = process.getuid?.() === 0

describe('homeFolder', () => {
  it('is HOME, or the home folder in the list of users if HOME is missing or empty', () => {
    expect(homeFolder({ HOME: '/data/ada' }, listed)).toBe('/data/ada')
    expect(homeFolder({}, listed)).toBe('/home/ada')
    expect(homeFolder({ HOME: '' }, listed)).toBe('/home/ada')
    expect(homeFolder({ HOME: '/ignored' }, windows)).toBe('C:\\Users\\Ada')
    expect(homeFolder({ USERPROFILE: 'D:\\Ada' }, windows)).toBe('D:\\Ada')
  })

  it('names HOME if the system has no home folder for the user', () => {
    for (const env of [{}, { HOME: '' }]) {
      expect(() => homeFolder(env, unlisted)).toThrow(
        expect.objectContaining({
          name: 'EnvironmentError',
          variable: 'HOME',
          message: 'HOME is not set, and the system has no home folder for this user',
          hint: 'set HOME, or set CADZERO_AUTH_HOME to an absolute path',
        }),
      )
    }
  })

  it.each(['home/ada', '~', '~/ada', '.', ' /home/ada'])('refuses %j, which is not absolute', (home) => {
    expect(() => homeFolder({ HOME: home }, listed)).toThrow(`HOME is not an absolute path: ${JSON.stringify(home)}`)
  })

  it.each(['Users\\Ada', '\\Users\\Ada', 'C:Ada', '%SystemDrive%\\Ada'])('refuses %j on Windows', (home) => {
    expect(() => homeFolder({ USERPROFILE: home }, windows)).toThrow('USERPROFILE is not an absolute path')
  })

  it('accepts a share on Windows', () => {
    expect(homeFolder({ USERPROFILE: '\\\\server\\home\\ada' }, windows)).toBe('\\\\server\\home\\ada')
  })

  it('refuses a path that is not UTF-8, since Node would open another one', () => {
    const latin1 = Buffer.from('/home/h\xe9l\xe8ne', 'latin1').toString('utf8') // as Node decodes the variable
    expect(() => homeFolder({ HOME: latin1 }, listed)).toThrow('the path in HOME is not valid UTF-8')
  })
})

describe('workingFolder', () => {
  it('is the home folder', async () => {
    const home = await temporaryFolder()
    const own = { HOME: home, USERPROFILE: home }
    expect(workingFolder(own, isWindows ? windows : listed)).toBe(home)
  })

  it('is the root of the system if there is no usable home folder', async () => {
    const file = join(await temporaryFolder(), 'file')
    await writeFile(file, '')
    for (const HOME of [undefined, '', 'relative', '/nonexistent', file]) {
      expect(workingFolder({ HOME }, unlisted), HOME).toBe('/')
    }
    expect(workingFolder({ USERPROFILE: 'Z:\\gone', SystemRoot: 'D:\\Windows' }, windows)).toBe('D:\\')
    expect(workingFolder({ USERPROFILE: 'Z:\\gone' }, windows)).toBe('C:\\')
  })

  it.skipIf(isRoot || isWindows)(
    `is the root of the system if the user may not enter${needs('file modes')}`,
    async () => {
      const home = await temporaryFolder()
      await chmod(home, 0o600)
      expect(workingFolder({ HOME: home }, listed)).toBe('/')
    },
  )
})

describe('checkBaseFolders', () => {
  const problemOf = (variable: string, path: string, uid: number): EnvironmentError | undefined => {
    try {
      checkBaseFolders([{ variable, path }], uid)
      return undefined
    } catch (error) {
      if (error instanceof EnvironmentError) return error
      throw error
    }
  }

  it('refuses a home folder that does not exist or is a file', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'file'), '')
    for (const name of ['absent', 'file', 'file/below']) {
      const path = join(folder, name)
      expect(problemOf('HOME', path, 1000)).toMatchObject({
        variable: 'HOME',
        message: `the home folder does not exist: ${path}`,
      })
    }
    expect(problemOf('HOME', folder, 1000)).toBeUndefined()
  })

  it('accepts another folder that does not exist yet', async () => {
    const absent = join(await temporaryFolder(), 'a', 'b')
    expect(problemOf('CADZERO_AUTH_HOME', absent, 1000)).toBeUndefined()
    expect(problemOf('XDG_DATA_HOME', absent, 1000)).toBeUndefined()
  })

  describe.skipIf(!isRoot)(`as root${isRoot ? '' : ' (skipped: needs root)'}`, () => {
    async function folderOf(uid: number): Promise<string> {
      const folder = join(await temporaryFolder(), 'folder')
      await mkdir(folder)
      await chown(folder, uid, uid)
      return folder
    }

    it.each(['HOME', 'XDG_CONFIG_HOME', 'CADZERO_AUTH_HOME'])(
      'refuses a folder of another user in %s',
      async (variable) => {
        const folder = await folderOf(23456)
        expect(problemOf(variable, folder, 0)).toMatchObject({
          message: `this is root, but ${folder} belongs to another user (${variable})`,
          hint: 'run it without sudo, or set CADZERO_AUTH_HOME to a folder of root',
        })
        expect(problemOf(variable, folder, 1000)).toBeUndefined()
      },
    )

    it('refuses a folder that it would make in a folder of another user', async () => {
      const folder = await folderOf(23456)
      expect(problemOf('XDG_DATA_HOME', join(folder, '.local', 'share'), 0)?.variable).toBe('XDG_DATA_HOME')
      expect(problemOf('CADZERO_AUTH_HOME', join(folder, 'new'), 0)?.variable).toBe('CADZERO_AUTH_HOME')
    })

    it('refuses a link of root to a folder of another user', async () => {
      const [folder, link] = [await folderOf(23456), join(await temporaryFolder(), 'link')]
      await symlink(folder, link)
      expect(problemOf('HOME', link, 0)).toBeInstanceOf(EnvironmentError)
    })

    it('accepts folders of root, and new ones in a folder of root', async () => {
      const folder = await folderOf(0)
      expect(problemOf('HOME', folder, 0)).toBeUndefined()
      expect(problemOf('CADZERO_AUTH_HOME', join(folder, 'new', 'deep'), 0)).toBeUndefined()
    })

    it('accepts a folder of root’s within the home of another user if CADZERO_AUTH_HOME names it', async () => {
      const own = join(await folderOf(23456), 'own')
      await mkdir(own)
      expect(problemOf('CADZERO_AUTH_HOME', own, 0)).toBeUndefined()
    })
  })
})
