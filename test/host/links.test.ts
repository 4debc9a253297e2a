// Links on the way to a file: which are followed, and which another user could change.
import { chmod, chown, lchown, mkdir, readdir, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { ensurePrivateFolder, isOwnFolder, readSettingsFile, systemFiles } from '../../src/host/files.ts'
import { resolveLinks, type Trust } from '../../src/host/links.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

const isRoot = process.getuid?.() === 0
const OTHER = 23456

describe.skipIf(isWindows)(`a link${needs('symbolic links')}`, () => {
  let folder: string
  let link: string
  beforeEach(async () => {
    folder = await realpath(await temporaryFolder())
    link = join(folder, 'link')
    await mkdir(join(folder, 'dotfiles', 'program'), { recursive: true, mode: 0o755 })
  })
  const resolve = () => resolveLinks(systemFiles, link)
  const refused = { name: 'FileError', code: 'unsafe_link' }

  it.each(['dotfiles/program', './dotfiles/../dotfiles//program/', 'ABSOLUTE'])('to %s is followed', async (target) => {
    await symlink(target === 'ABSOLUTE' ? join(folder, 'dotfiles', 'program') : target, link)
    expect(await resolve()).toBe(join(folder, 'dotfiles', 'program'))
  })

  it('is followed through other links, as realpath follows it', async () => {
    await symlink('dotfiles', join(folder, 'one'))
    await symlink('one/program', join(folder, 'two'))
    await symlink('two', link)
    expect(await resolve()).toBe(await realpath(link))
  })

  it('that leads to itself is refused', async () => {
    await symlink('link', link)
    await expect(resolve()).rejects.toMatchObject(refused)
  })

  it('that leads nowhere is a system error', async () => {
    await symlink('absent', link)
    await expect(resolve()).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('through a folder in which every user may rename is refused, unless the sticky bit forbids that', async () => {
    await symlink('dotfiles/program', link)
    await chmod(join(folder, 'dotfiles'), 0o777)
    await expect(resolve()).rejects.toMatchObject(refused)
    await chmod(join(folder, 'dotfiles'), 0o1777)
    expect(await resolve()).toBe(join(folder, 'dotfiles', 'program'))
  })

  it('through a folder of the user’s own group is followed, and through one of another group refused', async () => {
    await symlink('dotfiles/program', link)
    await chmod(join(folder, 'dotfiles'), 0o775)
    const { uid, gid } = await stat(join(folder, 'dotfiles'))
    // Group 0 is root's own: the case needs a folder of another group.
    if (isRoot) await chown(join(folder, 'dotfiles'), uid, OTHER)
    const trust = (group: number): Trust => ({ uid, gid: group })
    const group = isRoot ? OTHER : gid
    expect(await resolveLinks(systemFiles, link, trust(group))).toBe(join(folder, 'dotfiles', 'program'))
    await expect(resolveLinks(systemFiles, link, trust(group + 1))).rejects.toMatchObject(refused)
  })

  describe.skipIf(!isRoot)(`of or through another user${isRoot ? '' : ' (skipped: needs root)'}`, () => {
    it('is refused if the link is of another user', async () => {
      await symlink('dotfiles/program', link)
      await lchown(link, OTHER, OTHER)
      await expect(resolve()).rejects.toMatchObject(refused)
      await expect(ensurePrivateFolder(systemFiles, link)).rejects.toMatchObject({ ...refused, path: link })
    })

    it('is refused if a second link on the way is of another user', async () => {
      await symlink('dotfiles', join(folder, 'second'))
      await lchown(join(folder, 'second'), OTHER, OTHER)
      await symlink('second/program', link)
      await expect(resolve()).rejects.toMatchObject(refused)
    })

    it('is refused if a folder on the way is of another user', async () => {
      await chown(join(folder, 'dotfiles'), OTHER, OTHER)
      await symlink('dotfiles/program', link)
      await expect(resolve()).rejects.toMatchObject(refused)
    })

    it('is refused as a private folder if its target is of another user', async () => {
      await chown(join(folder, 'dotfiles', 'program'), OTHER, OTHER)
      await symlink('dotfiles/program', link)
      await expect(ensurePrivateFolder(systemFiles, link)).rejects.toMatchObject({ code: 'foreign_owner', path: link })
      expect((await stat(link)).mode & 0o777).toBe(0o755)
    })
  })

  describe('to a private folder', () => {
    it('is accepted, and the target is closed to others', async () => {
      await symlink('dotfiles/program', link)
      await ensurePrivateFolder(systemFiles, link)
      expect((await stat(join(folder, 'dotfiles', 'program'))).mode & 0o777).toBe(0o700)
      expect(await isOwnFolder(systemFiles, link)).toBe(true)
    })

    it('is refused if it leads nowhere, and nothing is made', async () => {
      await symlink(join('unmounted', 'program'), link)
      await expect(ensurePrivateFolder(systemFiles, link)).rejects.toMatchObject({ code: 'broken_link', path: link })
      expect((await readdir(folder)).sort()).toEqual(['dotfiles', 'link'])
      expect(await isOwnFolder(systemFiles, link)).toBe(false)
    })

    it('is refused if its target is a file', async () => {
      await writeFile(join(folder, 'file'), '')
      await symlink('file', link)
      await expect(ensurePrivateFolder(systemFiles, link)).rejects.toMatchObject({ code: 'not_a_folder' })
    })
  })

  describe('to a file of settings', () => {
    const read = async () => String(await readSettingsFile(systemFiles, link, 100))

    it('is followed', async () => {
      await writeFile(join(folder, 'dotfiles', 'config.json'), 'text', { mode: 0o644 })
      await symlink('dotfiles/config.json', link)
      expect(await read()).toBe('text')
    })

    it('is refused if other users may write the target', async () => {
      await writeFile(join(folder, 'dotfiles', 'config.json'), 'text')
      await chmod(join(folder, 'dotfiles', 'config.json'), 0o646)
      await symlink('dotfiles/config.json', link)
      await expect(read()).rejects.toMatchObject(refused)
    })

    it('is refused if it leads nowhere or to a device', async () => {
      await symlink('absent', link)
      await expect(read()).rejects.toMatchObject({ code: 'broken_link' })
      await rm(link)
      await symlink('/dev/zero', link)
      await expect(read()).rejects.toMatchObject({ name: 'FileError' })
    })
  })
})
