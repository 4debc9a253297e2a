// fsync of files and folders: a file system that has none is no failure, a lost write is one.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type FileSystem, removePrivateFile, systemFiles, writePrivateFile } from '../../src/host/files.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

const failure = (code: string) => Object.assign(new Error(code), { code, syscall: 'fsync' })

/** A file system whose fsync, or whose opening of a folder, fails with this code. */
function failing(what: 'fsync of a file' | 'fsync of a folder' | 'open of a folder', code: string): FileSystem {
  const open = async (...args: Parameters<FileSystem['open']>) => {
    const handle = await systemFiles.open(...args)
    const isFolder = (await handle.stat()).isDirectory()
    if (isFolder && what === 'open of a folder') {
      await handle.close()
      throw failure(code)
    }
    if (what === (isFolder ? 'fsync of a folder' : 'fsync of a file')) handle.sync = () => Promise.reject(failure(code))
    return handle
  }
  return { ...systemFiles, open }
}

async function write(files: FileSystem): Promise<string> {
  const path = join(await temporaryFolder(), 'file')
  await writePrivateFile(files, path, 'text')
  return String(await systemFiles.readFile(path))
}

describe.skipIf(isWindows)(`a durable write${needs('folders that can be synced')}`, () => {
  it.each(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EPERM', 'EACCES', 'EISDIR', 'EBADF'])(
    'succeeds if the file system has no fsync of folders (%s)',
    async (code) => {
      expect(await write(failing('fsync of a folder', code))).toBe('text')
      expect(await write(failing('open of a folder', code))).toBe('text')
    },
  )

  it.each(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])(
    'succeeds if the file system has no fsync (%s)',
    async (code) => {
      expect(await write(failing('fsync of a file', code))).toBe('text')
    },
  )

  it.each(['EIO', 'ENOSPC', 'EDQUOT', 'EROFS', 'ESTALE'])(
    'fails if the folder could not be saved (%s)',
    async (code) => {
      await expect(write(failing('fsync of a folder', code))).rejects.toMatchObject({ code })
      await expect(write(failing('open of a folder', code))).rejects.toMatchObject({ code })
    },
  )

  it.each(['EIO', 'ENOSPC', 'EDQUOT', 'EROFS', 'EPERM', 'EBADF'])(
    'fails if the file could not be saved (%s)',
    async (code) => {
      await expect(write(failing('fsync of a file', code))).rejects.toMatchObject({ code })
    },
  )

  it('removes a file although the file system has no fsync of folders', async () => {
    const path = join(await temporaryFolder(), 'file')
    await writeFile(path, '')
    await removePrivateFile(failing('fsync of a folder', 'EINVAL'), path)
    await expect(systemFiles.stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
