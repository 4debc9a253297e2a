// Who updates a program, by its path and by what is beside it.
import { writeFile } from 'node:fs/promises'
import { join, win32 } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { ownerOf, type Place } from '../../src/update/owner.ts'
import { temporaryFolder } from '../support/folder.ts'

/** A file system on which only these files exist. */
const withFiles = (...paths: readonly string[]): FileSystem => ({
  ...systemFiles,
  stat: (async (path: string) => {
    if (paths.includes(path)) return {}
    throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
  }) as never,
})

const place = (program: string, more: Partial<Place> = {}): Place => ({
  files: withFiles(),
  platform: program.includes('\\') ? 'win32' : 'linux',
  isExecutable: true,
  version: '1.0.0',
  markFile: '/nowhere/installed-by.json',
  program,
  ...more,
})

const DPKG = '/var/lib/dpkg/info/cadzero-auth.list'
const SCOOP = 'C:\\Users\\zoe\\scoop\\apps\\cadzero-auth\\current\\cadzero-auth.exe'

describe('the owner', () => {
  it.each<[string, string | undefined, Place]>([
    ['/home/zoe/.local/bin/cadzero-auth', undefined, place('/home/zoe/.local/bin/cadzero-auth')],
    ['/opt/cadzero/cadzero-auth', undefined, place('/opt/cadzero/cadzero-auth')],
    ['/usr/local/bin/cadzero-auth', undefined, place('/usr/local/bin/cadzero-auth')],
    ['C:\\Tools\\cadzero-auth.exe', undefined, place('C:\\Tools\\cadzero-auth.exe')],
    ['a .deb', 'apt', place('/usr/bin/cadzero-auth', { files: withFiles(DPKG) })],
    ['an .rpm', 'dnf', place('/usr/bin/cadzero-auth', { files: withFiles('/usr/bin/dnf') })],
    ['another package', 'the package manager', place('/usr/bin/cadzero-auth')],
    ['Homebrew', 'Homebrew', place('/opt/homebrew/Cellar/cadzero-auth/1.0.0/bin/cadzero-auth')],
    ['Homebrew of an Intel Mac', 'Homebrew', place('/usr/local/Cellar/cadzero-auth/1.0.0/bin/cadzero-auth')],
    ['Homebrew of Linux', 'Homebrew', place('/home/linuxbrew/.linuxbrew/bin/cadzero-auth')],
    ['Nix', 'Nix', place('/nix/store/abc-cadzero-auth-1.0.0/bin/cadzero-auth')],
    ['scoop', 'scoop', place(SCOOP)],
    [
      'npm',
      'npm',
      place('/home/zoe/.local/lib/node_modules/cadzero-auth/dist/cadzero-auth.cjs', { isExecutable: false }),
    ],
    ['a checkout', 'npm run build', place('/home/zoe/cadzero-auth/dist/cadzero-auth.cjs', { isExecutable: false })],
  ])('of %s is %s', async (_name, expected, one) => {
    expect((await ownerOf(one))?.name).toBe(expected)
  })

  it('of a program beside the uninstaller of Windows is the installer', async () => {
    const folder = 'C:\\Users\\zoe\\AppData\\Local\\Programs\\cadzero-auth'
    const files = withFiles(win32.join(folder, 'uninstall.exe'))
    expect((await ownerOf(place(`${folder}\\cadzero-auth.exe`, { files })))?.name).toBe('the installer')
    expect(await ownerOf(place(`${folder}\\cadzero-auth.exe`))).toBeUndefined()
  })

  it('of a program beside what scoop has noted is scoop, in any folder', async () => {
    const files = withFiles('D:\\Portable\\apps\\cadzero-auth\\1.0.0\\install.json')
    const program = 'D:\\Portable\\apps\\cadzero-auth\\1.0.0\\cadzero-auth.exe'
    expect((await ownerOf(place(program, { files })))?.name).toBe('scoop')
  })

  it('is scoop with a hint to stop the daemon first, since scoop updates no program that runs', async () => {
    expect((await ownerOf(place(SCOOP)))?.hint).toBe('run cadzero-auth daemon --stop, then scoop update cadzero-auth')
  })

  it('of a program that an add-in has installed is the add-in, until another one is there', async () => {
    const markFile = join(await temporaryFolder(), 'installed-by.json')
    const program = '/home/zoe/.local/bin/cadzero-auth'
    const owner = async (more: Partial<Place> = {}) =>
      (await ownerOf(place(program, { files: systemFiles, markFile, ...more })))?.name
    expect(await owner()).toBeUndefined()
    await writeFile(markFile, JSON.stringify({ installer: 'add-in', program, version: '1.0.0' }), { mode: 0o600 })
    expect(await owner()).toBe('the CADZERO add-in')
    expect(await owner({ version: '1.1.0' })).toBeUndefined()
    expect(await owner({ program: '/opt/cadzero-auth' })).toBeUndefined()
    await writeFile(markFile, 'no JSON')
    expect(await owner()).toBeUndefined()
  })
})
