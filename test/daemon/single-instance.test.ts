// Who becomes the one daemon, and what those find who come second.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { locateFolders } from '../../src/config/paths.ts'
import { becomeInstance } from '../../src/daemon/single-instance.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { systemHost } from '../../src/host/host.ts'
import { takeLock } from '../../src/host/lock.ts'
import { writeEndpoint } from '../../src/rpc/discovery.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startServer } from '../support/rpc.ts'

describe.skipIf(process.platform === 'win32')('a second daemon', () => {
  it('waits for the first one’s discovery file where a file that is not private lies in its place', async () => {
    const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
    const { discoveryFile, lockFile } = folders
    await mkdir(dirname(discoveryFile), { recursive: true, mode: 0o700 })
    const lock = await takeLock(systemFiles, lockFile)
    onTestFinished(() => lock?.release())
    await writeFile(discoveryFile, '{}', { mode: 0o644 })
    let looked: () => void = () => undefined
    const hasLooked = new Promise<void>((resolve) => {
      looked = resolve
    })
    const files: FileSystem = {
      ...systemFiles,
      open: async (...args) => {
        if (args[0] === discoveryFile) looked()
        return await systemFiles.open(...args)
      },
    }
    const second = becomeInstance({ ...systemHost(), files }, folders, false)
    await hasLooked
    const { endpoint } = await startServer()
    await writeEndpoint(systemFiles, discoveryFile, endpoint)
    expect(await second).toEqual({ kind: 'second', runningPid: process.pid })
  })

  it('names that file where it stays', async () => {
    const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
    await mkdir(dirname(folders.discoveryFile), { recursive: true, mode: 0o700 })
    const lock = await takeLock(systemFiles, folders.lockFile)
    onTestFinished(() => lock?.release())
    await writeFile(folders.discoveryFile, '{}', { mode: 0o644 })
    const clock = new TestClock()
    const ticking = setInterval(() => clock.advance(0.5), 5)
    onTestFinished(() => clearInterval(ticking))
    const error = await becomeInstance({ ...systemHost(), clock }, folders, false).catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'FileError', path: folders.discoveryFile, code: 'too_open' })
  })
})
