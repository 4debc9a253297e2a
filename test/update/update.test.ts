// An update of program files in a real folder: what is refused, and what is undone.
import { constants } from 'node:fs'
import { chmod, mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { takeLock } from '../../src/host/lock.ts'
import { exclusively, findUpdate, finishInterrupted, installUpdate, type Updater } from '../../src/update/update.ts'
import { isWindows, needs } from '../support/posix.ts'
import { DAY, releaseFile, SEQUENCE } from './releases.ts'
import { expectTidy, installAll, NEW, newUpdater, type Options } from './updater.ts'

async function update(updater: Updater): Promise<string> {
  return await exclusively(updater, async () => {
    await finishInterrupted(updater)
    const found = await findUpdate(updater)
    if (found.kind === 'available') await installUpdate(updater, found.version, found.programs)
    return found.kind === 'refused' ? found.reason : found.kind
  })
}

describe('an update', () => {
  it.each([false, true])('replaces the programs, and has the new daemon take over (Windows: %s)', async (windows) => {
    const { updater, folder, names, contents, takenOver } = await newUpdater({ windows })
    expect(await update(updater)).toBe('available')
    expect(await contents()).toEqual(names.map(() => 'new'))
    if (!isWindows) for (const name of names) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o755)
    expect(takenOver).toEqual(['1.1.0'])
    await expectTidy(folder, names)
  })

  it('downloads nothing but update.json and its signature if there is nothing newer', async () => {
    const { updater, requests, contents } = await newUpdater({ manifest: { version: '1.0.0' } })
    expect(await update(updater)).toBe('current')
    expect(requests).toEqual(['/update.json', '/update.json.sig'])
    expect(await contents()).toEqual(['old'])
  })

  const { bytes: gzip, file } = releaseFile('linux-x64', 'cadzero-auth', NEW)
  const sameProgram = Buffer.from(gzip)
  sameProgram.writeUInt8(gzip.readUInt8(4) ^ 1, 4) // the time in the header of gzip
  const other = releaseFile('linux-x64', 'cadzero-auth', Buffer.from('another program'))
  it.each<[string, string, Options]>([
    ['[I1]', 'a signature of other bytes', { served: { 'update.json': Buffer.from('{}') } }],
    ['[I1]', 'no signature', { served: { 'update.json.sig': Buffer.alloc(0) } }],
    ['[I3]', 'an expired release', { now: SEQUENCE + 181 * DAY }],
    ['[I4]', 'a downgrade', { manifest: { version: '0.9.0' } }],
  ])('%s %s downloads no program', async (_id, _name, options) => {
    const { updater, requests, contents, folder, names } = await newUpdater(options)
    expect(await update(updater)).toMatch(/signature|expired|downgrade/)
    expect(requests).toEqual(['/update.json', '/update.json.sig'])
    expect(await contents()).toEqual(['old'])
    await expectTidy(folder, names)
  })

  it.each<[string, Options]>([
    ['a truncated file', { served: { [file.name]: gzip.subarray(0, gzip.length - 1) } }],
    ['an empty file', { served: { [file.name]: Buffer.alloc(0) } }],
    ['a changed byte', { served: { [file.name]: Buffer.concat([gzip.subarray(0, -1), Buffer.from([1])]) } }],
    ['another program', { served: { [file.name]: other.bytes } }],
    ['other bytes of the same size and program', { served: { [file.name]: sameProgram } }],
    ['a longer file', { served: { [file.name]: Buffer.concat([gzip, gzip]) } }],
    [
      'a program of another hash',
      { manifest: { files: [{ ...file, program: { ...file.program, sha256: '0'.repeat(64) } }] } },
    ],
    ['a program that is larger', { manifest: { files: [{ ...file, program: { ...file.program, size: 10 } }] } }],
    ['a program that does not run', { runsAs: undefined }],
    ['a program of another version', { runsAs: '1.0.9' }],
  ])('[I5] fails with %s, and leaves the program and its daemon alone', async (_name, options) => {
    const { updater, contents, folder, names, takenOver } = await newUpdater(options)
    await expect(update(updater)).rejects.toThrow()
    expect(await contents()).toEqual(['old'])
    expect(takenOver).toEqual([])
    await expectTidy(folder, names)
  })

  it('[I4] remembers the newest release that it has seen, and refuses an older one from then on', async () => {
    const { updater, home } = await newUpdater({ manifest: { sequence: SEQUENCE + 10, version: '1.0.0' } })
    expect(await update(updater)).toBe('current')
    const { updater: later, contents } = await newUpdater({ home })
    expect(await update(later)).toBe('replayed')
    expect(await contents()).toEqual(['old'])
  })

  it.each(['expired', 'signature'])('[I4] remembers nothing of a release that is refused: %s', async (reason) => {
    const served = reason === 'signature' ? { 'update.json.sig': Buffer.from('x') } : {}
    const { updater, home } = await newUpdater({ served, now: SEQUENCE + (reason === 'expired' ? 181 : 1) * DAY })
    expect(await update(updater)).toBe(reason)
    expect(await readdir(home)).toEqual(['bin'])
  })

  it.each([false, true])('[I6] is undone if the new daemon does not get ready (Windows: %s)', async (windows) => {
    const { updater, contents, folder, names, takenOver } = await newUpdater({ windows, brokenDaemon: true })
    await expect(update(updater)).rejects.toThrow(
      'did not get ready: it does not respond; version 1.0.0 is in place again',
    )
    expect(await contents()).toEqual(names.map(() => 'old'))
    expect(takenOver).toEqual(['1.1.0', undefined])
    await expectTidy(folder, names)
  })

  it('runs once at a time, also beside the installer of the add-in', async () => {
    const { updater, contents } = await newUpdater()
    const lock = await takeLock(systemFiles, updater.programs.lockFile)
    await expect(update(updater)).rejects.toThrow('another program is installing cadzero-auth')
    expect(await contents()).toEqual(['old'])
    await lock?.release()
    expect(await update(updater)).toBe('available')
  })

  it.skipIf(isWindows)(`refuses a folder that other users can write to${needs('file modes')}`, async () => {
    const { updater, folder, requests } = await newUpdater()
    await chmod(folder, 0o777)
    await expect(update(updater)).rejects.toThrow(`other users can write to ${folder}`)
    expect(requests).toEqual([])
  })

  it.skipIf(isWindows).each([
    ['a group of others', { mode: 0o40775, gid: 61_234 }, true],
    ['its user’s own group', { mode: 0o40775, gid: process.getuid?.() }, false],
    ['a group of others that may only read', { mode: 0o40755, gid: 61_234 }, false],
  ])(`[I5] looks at who may write to its folder: %s${needs('file modes')}`, async (_name, fields, isRefused) => {
    const found = async (path: string) => Object.assign(await stat(path), fields)
    const { updater, requests } = await newUpdater({ files: { ...systemFiles, stat: found as never } })
    const [outcome] = await Promise.allSettled([update(updater)])
    if (!isRefused) return expect(outcome).toMatchObject({ status: 'fulfilled', value: 'available' })
    const hint = expect.stringContaining(`chmod go-w '${updater.programs.folder}'`)
    expect(outcome).toMatchObject({ reason: { message: expect.stringContaining('other users can write'), hint } })
    expect(requests).toEqual([])
  })

  it.skipIf(isWindows)(
    `[I5] removes a link in its way, and never a file of its target${needs('symbolic links')}`,
    async () => {
      const { updater, folder, names, home } = await newUpdater()
      const documents = join(home, 'documents')
      await mkdir(documents)
      await writeFile(join(documents, 'letter'), 'text')
      await symlink(documents, join(folder, '.cadzero-auth-update'))
      expect(await update(updater)).toBe('available')
      expect(await readdir(documents)).toEqual(['letter'])
      await expectTidy(folder, names)
    },
  )

  it.skipIf(isWindows).each(['folder', 'link'])(
    `names a %s in the place of .previous${needs('symbolic links')}`,
    async (kind) => {
      const { updater, folder, contents, requests } = await newUpdater()
      const previous = join(folder, 'cadzero-auth.previous')
      await (kind === 'folder' ? mkdir(previous) : symlink('/etc/passwd', previous))
      await expect(update(updater)).rejects.toThrow(`${previous}: it is not a regular file`)
      expect([await contents(), requests]).toEqual([['old'], []])
    },
  )

  it.skipIf(isWindows)(`[I5] refuses a program of another user, as after sudo${needs('owners of files')}`, async () => {
    const foreign = async (path: string) => Object.assign(await stat(path), { uid: 61_234 })
    const { updater, requests } = await newUpdater({ files: { ...systemFiles, stat: foreign as never } })
    await expect(update(updater)).rejects.toThrow('this user may not change the program')
    expect(requests).toEqual([])
  })

  it('fails with the cause if the disk is full, and leaves nothing behind', async () => {
    let isFull = false
    const open = async (...args: Parameters<FileSystem['open']>) => {
      if (isFull && typeof args[1] === 'number' && (args[1] & constants.O_CREAT) !== 0)
        throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
      isFull ||= String(args[0]).endsWith('download')
      return await systemFiles.open(...args)
    }
    const { updater, contents, folder, names } = await newUpdater({ files: { ...systemFiles, open } })
    await expect(exclusively(updater, () => installAll(updater))).rejects.toThrow('ENOSPC')
    expect(await contents()).toEqual(['old'])
    await expectTidy(folder, names)
  })
})
