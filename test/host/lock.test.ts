// The lock file: held by one process at a time, and a system that cannot lock says so in its own words.
import { chmod, mkdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { LockError, takeLock } from '../../src/host/lock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

describe('takeLock', () => {
  it('gives the lock to one holder, and to the next one after its release', async () => {
    const path = join(await temporaryFolder(), 'daemon.lock')
    const first = await takeLock(systemFiles, path)
    expect(first).toBeDefined()
    expect(await takeLock(systemFiles, path)).toBeUndefined()
    await first?.release()
    const second = await takeLock(systemFiles, path)
    onTestFinished(() => second?.release())
    expect(second).toBeDefined()
  })

  it.skipIf(isWindows)(
    `tells a lock whose file was removed, and made anew by another${needs('a lock that is a file')}`,
    async () => {
      const path = join(await temporaryFolder(), 'install.lock')
      const first = await takeLock(systemFiles, path)
      onTestFinished(() => first?.release())
      expect(await first?.isCurrent()).toBe(true)
      await unlink(path)
      expect(await first?.isCurrent()).toBe(false)
      const second = await takeLock(systemFiles, path)
      onTestFinished(() => second?.release())
      expect([await first?.isCurrent(), await second?.isCurrent()]).toEqual([false, true])
    },
  )

  it.skipIf(process.platform !== 'linux')(
    'throws LockError with the system’s own words if the file cannot be locked (Linux)',
    async () => {
      const folder = await temporaryFolder()
      const path = join(folder, 'daemon.lock')
      // A file system without locks: flock(1) ends with another status than the one for a lock that is held.
      await mkdir(join(folder, 'bin'))
      const flock = join(folder, 'bin', 'flock')
      await writeFile(flock, '#!/bin/sh\necho "flock: 3: No locks available" >&2\nexit 71\n')
      await chmod(flock, 0o755)
      const error = await takeLock(systemFiles, path, flock).catch((error: unknown) => error)
      expect(error).toBeInstanceOf(LockError)
      expect(String(error)).toContain(`${path}: flock: 3: No locks available`)
    },
  )
})
