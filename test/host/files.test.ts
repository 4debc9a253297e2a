// Private files: how leftovers of interrupted writes are removed, and which files are refused.
import { execFileSync } from 'node:child_process'
import { chmod, chown, link, mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  ensurePrivateFolder,
  type FileSystem,
  readOwnFile,
  readPrivateFile,
  readSettingsFile,
  sweepTemporaries,
  systemFiles,
  wipeFile,
  writePrivateFile,
} from '../../src/host/files.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

describe('readPrivateFile', () => {
  it('returns undefined if there is no file', async () => {
    expect(await readPrivateFile(systemFiles, join(await temporaryFolder(), 'absent'), 10)).toBeUndefined()
  })

  it('refuses a file that is too large, without reading it', async () => {
    const path = join(await temporaryFolder(), 'large')
    await writeFile(path, '', { mode: 0o600 })
    await truncate(path, 2 ** 30) // a gigabyte that takes no space
    await expect(readPrivateFile(systemFiles, path, 1024)).rejects.toMatchObject({
      name: 'FileError',
      code: 'too_large',
    })
    await truncate(path, 1024)
    expect(await readPrivateFile(systemFiles, path, 1024)).toHaveLength(1024)
  })

  it.skipIf(isWindows)(
    `refuses a file that others may access, which readOwnFile allows${needs('file modes and links of POSIX')}`,
    async () => {
      const path = join(await temporaryFolder(), 'open')
      await writeFile(path, 'text', { mode: 0o600 })
      for (const mode of [0o604, 0o602, 0o640, 0o620]) {
        await chmod(path, mode)
        await expect(readPrivateFile(systemFiles, path, 10)).rejects.toMatchObject({ code: 'too_open', path })
        expect(String(await readOwnFile(systemFiles, path, 10, false))).toBe('text')
      }
    },
  )

  it.skipIf(isWindows)(
    `refuses a link, a hard link and a folder${needs('file modes and links of POSIX')}`,
    async () => {
      const folder = await temporaryFolder()
      const path = join(folder, 'file')
      await writeFile(path, 'text', { mode: 0o600 })
      await symlink(path, join(folder, 'link'))
      await mkdir(join(folder, 'folder'))
      const refused = { code: 'not_regular' }
      await expect(readPrivateFile(systemFiles, join(folder, 'link'), 10)).rejects.toMatchObject(refused)
      await expect(readPrivateFile(systemFiles, join(folder, 'folder'), 10)).rejects.toMatchObject(refused)
      await link(path, join(folder, 'hard-link'))
      await expect(readPrivateFile(systemFiles, path, 10)).rejects.toMatchObject(refused)
    },
  )
})

describe('readSettingsFile', () => {
  it('returns undefined if there is no file, and the content of one that others may read', async () => {
    const path = join(await temporaryFolder(), 'config.json')
    expect(await readSettingsFile(systemFiles, path, 10)).toBeUndefined()
    await writeFile(path, 'text', { mode: 0o644 })
    expect(String(await readSettingsFile(systemFiles, path, 10))).toBe('text')
    await expect(readSettingsFile(systemFiles, path, 3)).rejects.toMatchObject({ code: 'too_large' })
  })

  it.skipIf(isWindows)(
    `refuses a folder, a device and a FIFO, and does not wait for a writer${needs('file modes and links of POSIX')}`,
    async () => {
      const folder = await temporaryFolder()
      const fifo = join(folder, 'config.json')
      execFileSync('mkfifo', [fifo])
      for (const path of [fifo, folder, '/dev/null'])
        await expect(readSettingsFile(systemFiles, path, 10), path).rejects.toMatchObject({ code: 'not_regular' })
    },
  )

  it.skipIf(process.getuid?.() !== 0)('refuses a file of another user (needs root)', async () => {
    const path = join(await temporaryFolder(), 'config.json')
    await writeFile(path, '{}')
    await chown(path, 23456, 23456)
    await expect(readSettingsFile(systemFiles, path, 10)).rejects.toMatchObject({ code: 'foreign_owner' })
  })
})

describe('writePrivateFile', () => {
  it.skipIf(isWindows)(
    `replaces a file by a private one, and leaves no temporary file${needs('file modes and links of POSIX')}`,
    async () => {
      const folder = await temporaryFolder()
      const path = join(folder, 'file')
      await writeFile(path, 'old', { mode: 0o644 })
      await writePrivateFile(systemFiles, path, 'new')
      expect(await readFile(path, 'utf8')).toBe('new')
      expect((await stat(path)).mode & 0o777).toBe(0o600)
      expect(await readdir(folder)).toEqual(['file'])
    },
  )
})

describe('wipeFile', () => {
  it('removes a file that still has the given content', async () => {
    const path = join(await temporaryFolder(), 'file')
    await writeFile(path, 'secret')
    expect(await wipeFile(systemFiles, path, Buffer.from('secret'))).toBe(true)
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it.each(['other!', 'secret and more'])('leaves a file that has changed to %j', async (text) => {
    const path = join(await temporaryFolder(), 'file')
    await writeFile(path, text)
    expect(await wipeFile(systemFiles, path, Buffer.from('secret'))).toBe(false)
    expect(await readFile(path, 'utf8')).toBe(text)
  })
})

describe('ensurePrivateFolder', () => {
  it.skipIf(isWindows)(
    `removes the permissions of others, and refuses a file${needs('file modes and links of POSIX')}`,
    async () => {
      const folder = await temporaryFolder()
      const path = join(folder, 'private')
      await mkdir(path)
      await chmod(path, 0o777)
      await ensurePrivateFolder(systemFiles, path)
      expect((await stat(path)).mode & 0o777).toBe(0o700)
      await writeFile(join(folder, 'file'), '')
      await expect(ensurePrivateFolder(systemFiles, join(folder, 'file'))).rejects.toMatchObject({
        code: 'not_a_folder',
      })
    },
  )

  it.each(['EACCES', 'EPERM', 'EROFS'])('names the folder that the user may not make (%s)', async (code) => {
    const path = join(await temporaryFolder(), 'private')
    const mkdir = () => Promise.reject<undefined>(Object.assign(new Error(code), { code }))
    const files: FileSystem = { ...systemFiles, mkdir }
    await expect(ensurePrivateFolder(files, path)).rejects.toMatchObject({ name: 'FileError', code: 'no_access', path })
  })
})

describe('sweepTemporaries', () => {
  it('removes what an interrupted write has left, and nothing else', async () => {
    const folder = await temporaryFolder()
    for (const name of ['production.jwe', '.production.jwe.0123456789abcdef.tmp', 'notes.tmp', '.notes.tmp'])
      await writeFile(join(folder, name), 'text')
    await sweepTemporaries(systemFiles, folder)
    expect((await readdir(folder)).sort()).toEqual(['.notes.tmp', 'notes.tmp', 'production.jwe'])
  })

  it('succeeds on a disk that is read-only', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, '.production.jwe.0123456789abcdef.tmp'), 'half')
    const readOnly: FileSystem = {
      ...systemFiles,
      unlink: () => Promise.reject(Object.assign(new Error('read-only'), { code: 'EROFS' })),
    }
    await expect(sweepTemporaries(readOnly, folder)).resolves.toBeUndefined()
  })
})
