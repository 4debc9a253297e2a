// The folders of the daemon: it refuses those that others may access, and reports those whose access is unknown.
import { chmod, mkdir, stat } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { locateFolders } from '../../src/config/paths.ts'
import { makeFolders, restrictFolders } from '../../src/daemon/folders.ts'
import { type Host, systemHost } from '../../src/host/host.ts'
import type { Log } from '../../src/log/log.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

async function newFolders() {
  return locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
}

describe.skipIf(isWindows)(`makeFolders${needs('file modes')}`, () => {
  it('makes private folders, and removes the permissions of others from existing ones', async () => {
    const folders = await newFolders()
    await mkdir(folders.sessions, { recursive: true })
    for (const path of [folders.config, folders.sessions]) await chmod(path, 0o777)
    await makeFolders(systemHost(), folders)
    for (const path of [folders.config, folders.sessions, folders.data, folders.log])
      expect((await stat(path)).mode & 0o777, path).toBe(0o700)
  })
})

describe('restrictFolders', () => {
  /** Runs it on a system that reports this access for the data folder. */
  async function restrict(access: Awaited<ReturnType<Host['restrictFolder']>>) {
    const folders = await newFolders()
    const restricted: string[] = []
    const events: string[] = []
    const note = (event: string) => void events.push(event)
    const log: Log = { debug: note, info: note, warn: note, error: note }
    const host: Host = {
      ...systemHost(),
      restrictFolder: async (path) => {
        restricted.push(path)
        return path === folders.data ? access : 'own'
      },
    }
    const result = restrictFolders(host, folders, log)
    await result.catch(() => undefined)
    return { folders, restricted, events, result }
  }

  it('restricts every folder, and logs nothing if only the user has access', async () => {
    const { folders, restricted, events, result } = await restrict('own')
    await expect(result).resolves.toBeUndefined()
    expect(restricted).toEqual([folders.config, folders.data, folders.log])
    expect(events).toEqual([])
  })

  it('throws a FileError if others still have access', async () => {
    const { folders, result } = await restrict('open')
    await expect(result).rejects.toMatchObject({ name: 'FileError', code: 'too_open', path: folders.data })
  })

  it('logs folder_access_unknown and goes on if the access cannot be determined', async () => {
    const { events, result } = await restrict('unknown')
    await expect(result).resolves.toBeUndefined()
    expect(events).toEqual(['folder_access_unknown'])
  })
})
