// The addon file of the single executable: it is compared with the executable's copy before each load.
import { spawnSync } from 'node:child_process'
import { renameSync, writeFileSync } from 'node:fs'
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { placeAddon } from '../../src/bootstrap/addon.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

vi.mock('node:fs', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:fs')>()
  return { ...original, renameSync: vi.fn(original.renameSync) }
})

const CONTENT = Buffer.from('the addon of this executable')
const isRoot = process.getuid?.() === 0

/** The folder of an addon that was placed by an earlier start. */
async function newAddon() {
  const home = await temporaryFolder()
  const folder = join(home, 'addon')
  const path = placeAddon(folder, CONTENT)
  return { home, folder, path }
}

describe('placeAddon', () => {
  it('writes a private file in a private folder', async () => {
    const { folder, path } = await newAddon()
    expect(dirname(path)).toBe(folder)
    expect(await readFile(path)).toEqual(CONTENT)
    if (isWindows) return
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
  })

  it('keeps an intact file, which another process may have loaded', async () => {
    const { folder, path } = await newAddon()
    const { ino } = await stat(path)
    expect(placeAddon(folder, CONTENT)).toBe(path)
    expect((await stat(path)).ino).toBe(ino)
  })

  it('takes the file that another process has written and loaded meanwhile, which Windows does not replace', async () => {
    const { folder, path } = await newAddon()
    await rm(path)
    vi.mocked(renameSync).mockImplementationOnce(() => {
      writeFileSync(path, CONTENT, { mode: 0o600 })
      throw Object.assign(new Error('EPERM: operation not permitted, rename'), { code: 'EPERM' })
    })
    expect(placeAddon(folder, CONTENT)).toBe(path)
    expect(await readdir(folder)).toEqual([basename(path)])
  })

  it('removes the addon of another version, and nothing else', async () => {
    const { folder, path } = await newAddon()
    await writeFile(join(folder, 'notes.txt'), 'mine')
    const other = placeAddon(folder, Buffer.from('the addon of another version'))
    expect((await readdir(folder)).sort()).toEqual([basename(other), 'notes.txt'].sort())
    expect(placeAddon(folder, CONTENT)).toBe(path) // a downgrade
    expect((await readdir(folder)).sort()).toEqual([basename(path), 'notes.txt'].sort())
  })

  it('removes the addon of another version that an earlier start could not remove', async () => {
    const { folder, path } = await newAddon()
    await writeFile(join(folder, `${'a'.repeat(64)}.node`), 'was loaded then')
    expect(placeAddon(folder, CONTENT)).toBe(path)
    expect(await readdir(folder)).toEqual([basename(path)])
  })

  it('removes what an interrupted start has left, and keeps what another start is writing', async () => {
    const { folder, path } = await newAddon()
    const ended = spawnSync(process.execPath, ['--version']).pid
    await writeFile(`${path}.${ended}`, 'half of it')
    const other = `${'a'.repeat(64)}.node.${process.ppid}`
    await writeFile(join(folder, other), 'half of it')
    placeAddon(folder, CONTENT)
    expect((await readdir(folder)).sort()).toEqual([basename(path), other].sort())
  })

  it('leaves no part of a file that it cannot write, as on a full disk', async () => {
    const { folder, path } = await newAddon()
    await rm(path)
    await mkdir(join(path, 'in the way'), { recursive: true })
    for (let start = 0; start < 2; start++) expect(() => placeAddon(folder, CONTENT)).toThrow()
    expect(await readdir(folder)).toEqual([basename(path)])
  })

  it.each([
    ['has other content of the same size', (path: string) => writeFile(path, Buffer.alloc(CONTENT.length, 'x'))],
    ['has one byte more', (path: string) => writeFile(path, Buffer.concat([CONTENT, Buffer.from('x')]))],
    ['is empty', (path: string) => writeFile(path, '')],
  ])('replaces a file that %s', async (_name, change) => {
    const { folder, path } = await newAddon()
    const { ino } = await stat(path)
    await change(path)
    expect(placeAddon(folder, CONTENT)).toBe(path)
    expect(await readFile(path)).toEqual(CONTENT)
    expect((await stat(path)).ino).not.toBe(ino)
  })

  it.skipIf(isWindows).each([0o620, 0o602, 0o666])(
    `replaces a file with the mode %o${needs('file modes')}`,
    async (mode) => {
      const { folder, path } = await newAddon()
      await chmod(path, mode)
      const { ino } = await stat(path)
      placeAddon(folder, CONTENT)
      expect((await stat(path)).ino).not.toBe(ino)
      expect((await stat(path)).mode & 0o777).toBe(0o600)
    },
  )

  it.skipIf(isWindows)(
    `replaces a symbolic link, also one to a file with the right content${needs('file modes and links of POSIX')}`,
    async () => {
      const { home, folder, path } = await newAddon()
      const target = join(home, 'target.node')
      await rename(path, target)
      await symlink(target, path)
      placeAddon(folder, CONTENT)
      expect((await lstat(path)).isFile()).toBe(true)
      expect(await readFile(target)).toEqual(CONTENT)
    },
  )

  it.skipIf(isWindows || !isRoot)('replaces a file of another user (needs root)', async () => {
    const { folder, path } = await newAddon()
    await chown(path, 65534, 65534)
    placeAddon(folder, CONTENT)
    expect((await stat(path)).uid).toBe(process.getuid?.())
  })

  it('overwrites a temporary file that an interrupted start has left', async () => {
    const home = await temporaryFolder()
    const folder = join(home, 'addon')
    const path = placeAddon(folder, CONTENT)
    await rename(path, `${path}.${process.pid}`)
    await link(`${path}.${process.pid}`, join(home, 'other-name')) // a write in place would change this file
    await writeFile(join(home, 'other-name'), 'left over')
    placeAddon(folder, CONTENT)
    expect(await readFile(path)).toEqual(CONTENT)
    expect(await readFile(join(home, 'other-name'), 'utf8')).toBe('left over')
  })

  it.skipIf(isWindows)(
    `removes the permissions of others from the folder${needs('file modes and links of POSIX')}`,
    async () => {
      const { folder } = await newAddon()
      await chmod(folder, 0o777)
      placeAddon(folder, CONTENT)
      expect((await stat(folder)).mode & 0o777).toBe(0o700)
    },
  )

  it.skipIf(isWindows)(`throws if the folder is a symbolic link${needs('file modes and links of POSIX')}`, async () => {
    const home = await temporaryFolder()
    await mkdir(join(home, 'real'))
    await symlink(join(home, 'real'), join(home, 'addon'))
    expect(() => placeAddon(join(home, 'addon'), CONTENT)).toThrow('not a folder of this user')
  })

  it.skipIf(isWindows || !isRoot)('throws if the folder belongs to another user (needs root)', async () => {
    const { folder } = await newAddon()
    await chown(folder, 65534, 65534)
    expect(() => placeAddon(folder, CONTENT)).toThrow('not a folder of this user')
  })
})
