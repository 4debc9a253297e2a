// An update that is killed at any moment, with `kill -9` or by a loss of power: what is left works, and the next one goes on from there.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { finishInterrupted } from '../../src/update/update.ts'
import { expectTidy, installAll, NEW, newUpdater, OLD } from '../update/updater.ts'

/** A file system that is killed before its n-th change: from then on it does nothing. @returns how many changes there were */
function mortal(killAt: number) {
  let changes = 0
  const isDead = () => changes >= killAt
  const change =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (isDead()) throw new Error('killed')
      changes++
      if (isDead()) throw new Error('killed')
      return await call(...args)
    }
  const { open, rename, unlink, mkdir: makeFolder, rmdir } = systemFiles
  const files: FileSystem = {
    ...systemFiles,
    open: change(open),
    rename: change(rename),
    unlink: change(unlink),
    mkdir: change(makeFolder) as FileSystem['mkdir'],
    rmdir: change(rmdir),
  }
  return { files, isDead, changes: () => changes }
}

describe.each([
  { windows: false, brokenDaemon: false },
  { windows: false, brokenDaemon: true },
  { windows: true, brokenDaemon: false },
  { windows: true, brokenDaemon: true },
])('an update that is killed ($windows, broken daemon: $brokenDaemon)', ({ windows, brokenDaemon }) => {
  it('[I6] leaves complete programs at each step, and the next one finishes or undoes it', {
    timeout: 60_000,
  }, async () => {
    let killed = 0
    for (let killAt = 1; ; killAt++) {
      const { files, isDead } = mortal(killAt)
      const { updater, folder, home, names, contents } = await newUpdater({ windows, brokenDaemon, files })
      const dying = {
        ...updater,
        takeOver: async (version: string | undefined) => {
          if (isDead()) throw new Error('killed')
          await updater.takeOver(version)
        },
      }
      await installAll(dying).catch(() => undefined)
      if (!isDead()) break
      killed++
      for (const one of names) {
        const content = await readFile(join(folder, one))
        expect(content.equals(NEW) || content.equals(OLD), `${one} after ${killAt}`).toBe(true)
      }
      const wasNew = (await contents()).at(-1) === 'new'
      const { updater: next, takenOver } = await newUpdater({ windows, brokenDaemon: false, home })
      // The command that goes on is the program in place.
      const own = { ...next, program: { ...next.program, version: wasNew ? '1.1.0' : '1.0.0' } }
      const outcome = await finishInterrupted(own).catch((error: Error) => error.message)
      const settled = await contents()
      // The command may be of the version that it has just removed, and must not go on as if it were installed.
      if (wasNew && settled.at(-1) === 'old') {
        expect(outcome, `after ${killAt}`).toContain('version 1.0.0 is in place again')
        expect(takenOver.at(-1)).toBeUndefined()
      } else expect(outcome, `after ${killAt}`).toBeOneOf(['finished', 'undone', undefined])
      expect(new Set(settled).size, `${settled} after ${killAt}`).toBe(1)
      await expectTidy(folder, names)
      await installAll(next)
      expect(await contents(), `after ${killAt}`).toEqual(names.map(() => 'new'))
      await expectTidy(folder, names)
    }
    expect(killed).toBeGreaterThan(10)
  })
})
