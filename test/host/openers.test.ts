// Which programs can open a page, per system.
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { argumentsOf, findOpeners } from '../../src/host/openers.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

const URL = 'https://clerk.example.com/authorize?a=%25b'

/** A folder with executable files of these names. */
async function folderWith(...names: string[]): Promise<string> {
  const folder = await temporaryFolder()
  for (const name of names) {
    await writeFile(join(folder, name), '#!/bin/sh\n')
    await chmod(join(folder, name), 0o755)
  }
  return folder
}

/** The programs in a folder that are found, without those that this computer has elsewhere. */
async function found(names: readonly string[], env: NodeJS.ProcessEnv, program?: string): Promise<string[]> {
  const PATH = await folderWith(...names)
  const openers = findOpeners({ platform: 'linux', env: { PATH, ...env }, program })
  return openers.filter((opener) => opener.program.startsWith(PATH)).map((one) => one.program.slice(PATH.length + 1))
}

describe.skipIf(isWindows)(`on Linux${needs('programs of Linux')}`, () => {
  const all = ['gio', 'x-www-browser', 'sensible-browser', 'wslview', 'xdg-open', 'rundll32.exe']

  it('every opener is found, xdg-open first and Windows last', async () => {
    const order = ['xdg-open', 'wslview', 'sensible-browser', 'x-www-browser', 'gio', 'rundll32.exe']
    expect(await found(all, { DISPLAY: ':0' })).toEqual(order)
    expect(await found(all, {})).toEqual(order)
  })

  it('the browser of Windows comes first in WSL', async () => {
    expect((await found(all, { WSL_DISTRO_NAME: 'Debian' }))[0]).toBe('wslview')
    expect((await found(['rundll32.exe'], { WSL_INTEROP: '/run/WSL/1_interop' }))[0]).toBe('rundll32.exe')
  })

  it('a browser itself is found if there is a display', async () => {
    expect(await found(['firefox'], { WAYLAND_DISPLAY: 'wayland-0' })).toEqual(['firefox'])
    expect(await found(['firefox'], {})).toEqual([])
  })

  it('a name is searched in absolute folders only, and a relative path is no program', async () => {
    const env = { PATH: '.:relative::', BROWSER: './browser:relative/browser' }
    const openers = findOpeners({ platform: 'linux', env, program: undefined })
    expect(openers.every(({ program }) => program.startsWith('/'))).toBe(true)
    expect(openers.map(({ program }) => program).join()).not.toMatch(/relative|\/\.\//)
    expect(findOpeners({ platform: 'linux', env, program: './browser' })).toEqual([])
  })

  it('the one that the user names replaces all others', async () => {
    expect(await found([...all, 'mine'], { BROWSER: 'gio' }, 'mine')).toEqual(['mine'])
  })

  it('an entry of BROWSER may be a path with spaces', async () => {
    const folder = join(await temporaryFolder(), 'Program Files (x86)')
    await mkdir(folder)
    const BROWSER = join(folder, 'chrome.exe')
    await writeFile(BROWSER, '')
    await chmod(BROWSER, 0o755)
    const [first] = findOpeners({ platform: 'linux', env: { BROWSER: `:${BROWSER}:` }, program: undefined })
    expect(first).toMatchObject({ program: BROWSER, args: [] })
  })

  it('the success of gio proves nothing without a display', () => {
    const gioOf = (env: NodeJS.ProcessEnv) => findOpeners({ platform: 'linux', env, program: undefined })
    for (const [env, isUncertain] of [
      [{ DISPLAY: ':0' }, false],
      [{}, true],
    ] as const) {
      for (const gio of gioOf(env).filter(({ program }) => program.endsWith('/gio'))) {
        expect(gio.isUncertain).toBe(isUncertain)
      }
    }
  })
})

it('macOS and Windows have one opener, by its absolute path', () => {
  const env = { SystemRoot: 'D:\\Windows' }
  expect(findOpeners({ platform: 'darwin', env: {}, program: undefined })).toEqual([
    { program: '/usr/bin/open', args: [] },
  ])
  expect(findOpeners({ platform: 'win32', env, program: undefined })).toEqual([
    { program: 'D:\\Windows\\System32\\rundll32.exe', args: ['url.dll,FileProtocolHandler'] },
  ])
})

it.each([
  [{ args: [] }, [URL]],
  [{ args: ['open'] }, ['open', URL]],
  [{ args: ['-u', '%s', '100%%'], hasPlaceholder: true }, ['-u', URL, '100%']],
  [{ args: ['--url=%s'], hasPlaceholder: true }, [`--url=${URL}`]],
])('the arguments of %j hold the URL once', (opener, expected) => {
  expect(argumentsOf({ program: '/x', ...opener }, URL)).toEqual(expected)
})
