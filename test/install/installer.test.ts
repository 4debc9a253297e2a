// The installer for Windows under Wine 10, with a small program in place of the executable: two at once, odd folders, and what fails.
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { runTool } from '../../scripts/package/tools.ts'
import { makeInstaller } from '../../scripts/package/windows/installer.ts'
import { lacking, makeDebian13 } from '../../scripts/trials/debian13.ts'
import { temporaryFolder } from '../support/folder.ts'
import { newWindows, winePath } from './wine.ts'

const reason = lacking()
const MINUTES = { timeout: 600_000 }
const PROGRAM = fileURLToPath(new URL('installer-program.nsi', import.meta.url))

describe.skipIf(reason !== '')(`the installer for Windows${reason === '' ? '' : ` (skipped: ${reason})`}`, () => {
  beforeAll(makeDebian13, 600_000)

  /** A Windows, and an installer whose program notes its calls. */
  async function newInstaller() {
    const work = await temporaryFolder()
    const program = join(work, 'program.exe')
    runTool('makensis', ['-V2', '-WX', `-DOUT=${program}`, PROGRAM], 'nsis')
    const notices = join(work, 'notices.txt')
    await writeFile(notices, 'notices')
    const newSetup = async (file: string) => {
      const folder = await mkdtemp(join(work, 'setup-'))
      return await makeInstaller({ console: file, windowed: file, notices, version: '1.2.3', time: 0 }, folder)
    }
    const setup = await newSetup(program)
    const windows = await newWindows()
    // NSIS takes the rest of the line as a folder, without quotes, which Wine would put around an argument with a space.
    const install = (folder?: string, file = setup) =>
      windows.run([winePath(file), '/S', ...(folder === undefined ? [] : `/D=${folder}`.split(' '))])
    const uninstall = (folder: string, ...options: string[]) =>
      windows.run([`${folder}\\uninstall.exe`, '/S', ...options, ...`_?=${folder}`.split(' ')])
    const isEntered = async () =>
      (
        await windows.run([
          'reg',
          'query',
          String.raw`HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\cadzero-auth`,
        ])
      ).code === 0
    return { windows, install, uninstall, isEntered, work, newSetup }
  }

  const FILES = ['THIRD-PARTY-NOTICES.txt', 'cadzero-auth.exe', 'cadzero-authd.exe', 'calls.txt', 'uninstall.exe']
  const callsIn = async (folder: string) => (await readFile(join(folder, 'calls.txt'), 'utf8')).trim().split('\n')
  const both = (call: string) => [`begin ${call}`, `end ${call}`]

  it('works once at a time, and leaves the files of others in its folder', MINUTES, async () => {
    const { windows, install, uninstall, isEntered } = await newInstaller()
    const local = windows.appData('Local', 'Zoë Müller 日本', 'a folder')
    const user = String(windows.appData('Local').split('/').at(-3))
    const folder = `C:\\users\\${user}\\AppData\\Local\\Zoë Müller 日本\\a folder`
    await mkdir(join(local, '.cadzero-auth-update'), { recursive: true })
    for (const name of ['letter.old', 'cadzero-auth.exe.previous', '.cadzero-auth-update/undo'])
      await writeFile(join(local, name), 'text')
    expect(await install(folder)).toMatchObject({ code: 0 })
    expect((await readdir(local)).sort()).toEqual([...FILES, 'letter.old'].sort())
    expect(await callsIn(local)).toEqual(both('service install'))

    await rm(join(local, 'calls.txt'))
    const ended = await Promise.all([install(folder), install(folder)])
    expect(ended.map(({ code }) => code)).toEqual([0, 0])
    const once = [...both('daemon --stop'), ...both('service install')]
    expect(await callsIn(local)).toEqual([...once, ...once])
    expect((await readdir(local)).sort()).toEqual([...FILES, 'letter.old'].sort())

    expect(await uninstall(folder)).toMatchObject({ code: 0 })
    expect((await callsIn(local)).slice(-2)).toEqual(both('service uninstall'))
    expect((await readdir(local)).sort()).toEqual(['calls.txt', 'letter.old', 'uninstall.exe']) // the last runs from there, because of `_?=`
    expect(await isEntered()).toBe(false)
  })

  it('keeps the program that is there, and its daemon, on a full disk', MINUTES, async () => {
    const disk = await temporaryFolder() // mounted before the start of Wine, whose server would not see it
    runTool('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', disk], 'mount')
    onTestFinished(() => runTool('umount', ['--lazy', disk], 'mount'))
    const { install, uninstall, work, newSetup } = await newInstaller()
    const large = join(work, 'large.exe')
    await writeFile(large, randomBytes(3 * 1024 * 1024)) // the second of two does not fit
    const next = await newSetup(large)
    const local = join(disk, 'program')
    const folder = winePath(local)
    expect((await install(folder, next)).code).not.toBe(0)
    expect(await readdir(disk)).toEqual([])
    expect(await install(folder)).toMatchObject({ code: 0 })
    const program = await readFile(join(local, 'cadzero-auth.exe'))
    expect((await install(folder, next)).code).not.toBe(0)
    expect((await readdir(local)).sort()).toEqual([...FILES].sort())
    for (const name of ['cadzero-auth.exe', 'cadzero-authd.exe'])
      expect((await readFile(join(local, name))).equals(program)).toBe(true)
    expect(await callsIn(local)).toEqual(both('service install'))
    expect(await uninstall(folder)).toMatchObject({ code: 0 })
  })

  it('keeps its program and its uninstaller while a program hangs that cannot be replaced', MINUTES, async () => {
    const { windows, install, uninstall, isEntered } = await newInstaller()
    const local = windows.appData('Local', 'Programs', 'cadzero-auth')
    const folder = `C:\\users\\${local.split('/').at(-5)}\\AppData\\Local\\Programs\\cadzero-auth`
    expect(await install()).toMatchObject({ code: 0 })
    const hanging = windows.run([`${folder}\\cadzero-authd.exe`, 'hang']) // NSIS opens its own file, so that it cannot be renamed
    await expect.poll(() => callsIn(local), { timeout: 60_000 }).toContain('begin hang')
    expect((await install()).code).not.toBe(0)
    expect((await readdir(local)).sort()).toEqual([...FILES].sort())
    expect((await uninstall(folder)).code).not.toBe(0)
    expect(await readdir(local)).toEqual(
      expect.arrayContaining(['cadzero-auth.exe', 'cadzero-authd.exe', 'uninstall.exe']),
    )
    expect(await isEntered()).toBe(true)
    await windows.logOn()
    await hanging
    await writeFile(join(local, 'fail.txt'), '')
    expect((await uninstall(folder, '/PURGE')).code).not.toBe(0)
    expect(await isEntered()).toBe(true)
    await rm(join(local, 'fail.txt'))
    expect(await uninstall(folder, '/PURGE')).toMatchObject({ code: 0 })
    expect((await readdir(local)).sort()).toEqual(['calls.txt', 'uninstall.exe'])
    expect(await isEntered()).toBe(false)
  })
})
