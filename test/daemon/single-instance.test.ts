// The lock of the one daemon, and what a second daemon finds.
import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { locateFolders } from '../../src/config/paths.ts'
import { claimInstance, endDaemon, explainNoDaemon } from '../../src/daemon/single-instance.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { systemHost } from '../../src/host/host.ts'
import { takeLock } from '../../src/host/lock.ts'
import { connect, NoDaemonError } from '../../src/rpc/client.ts'
import { type Endpoint, readEndpoint, writeEndpoint } from '../../src/rpc/discovery.ts'
import { TestClock } from '../support/clock.ts'
import { startLocalDaemon } from '../support/daemon.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'
import { startServer } from '../support/rpc.ts'

describe.skipIf(isWindows)(`claimInstance in a second daemon${needs('signals and locks of POSIX')}`, () => {
  it('waits for the first daemon to replace a discovery file that is not private', async () => {
    const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
    const { discoveryFile, lockFile } = folders
    await mkdir(dirname(discoveryFile), { recursive: true, mode: 0o700 })
    const lock = await takeLock(systemFiles, lockFile)
    onTestFinished(() => lock?.release())
    await writeFile(discoveryFile, '{}', { mode: 0o644 })
    let onRead: () => void = () => undefined
    const hasRead = new Promise<void>((resolve) => {
      onRead = resolve
    })
    const files: FileSystem = {
      ...systemFiles,
      open: async (...args) => {
        if (args[0] === discoveryFile) onRead()
        return await systemFiles.open(...args)
      },
    }
    const second = claimInstance({ ...systemHost(), files }, folders, false)
    await hasRead
    const { endpoint } = await startServer()
    await writeEndpoint(systemFiles, discoveryFile, endpoint)
    expect(await second).toEqual({ kind: 'second', runningPid: process.pid })
  })

  it('throws a FileError with the path if the discovery file stays not private', async () => {
    const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
    await mkdir(dirname(folders.discoveryFile), { recursive: true, mode: 0o700 })
    const lock = await takeLock(systemFiles, folders.lockFile)
    onTestFinished(() => lock?.release())
    await writeFile(folders.discoveryFile, '{}', { mode: 0o644 })
    const clock = new TestClock()
    const ticking = setInterval(() => clock.advance(0.5), 5)
    onTestFinished(() => clearInterval(ticking))
    const error = await claimInstance({ ...systemHost(), clock }, folders, false).catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'FileError', path: folders.discoveryFile, code: 'too_open' })
  })
})

describe('claimInstance', () => {
  it('returns the process id of the running daemon, and leaves it running', async () => {
    const { host, folders } = await startLocalDaemon()
    const second = { kind: 'second', runningPid: process.pid }
    expect(await claimInstance(host, folders, false)).toEqual(second)
    expect(await claimInstance(host, folders, false)).toEqual(second)
  })

  it('ends the running daemon if it is to be replaced, and then holds the lock', async () => {
    const { host, folders, daemon } = await startLocalDaemon()
    const instance = await claimInstance(host, folders, true)
    if (instance.kind !== 'first') throw new Error(instance.kind)
    onTestFinished(() => instance.lock.release())
    await daemon.stopped
    expect(await takeLock(systemFiles, folders.lockFile)).toBeUndefined()
  })

  it('throws StuckDaemonError if a process holds the lock and no daemon responds', async () => {
    const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
    await mkdir(folders.data, { recursive: true, mode: 0o700 })
    const lock = await takeLock(systemFiles, folders.lockFile)
    onTestFinished(() => lock?.release())
    const clock = new TestClock()
    const ticking = setInterval(() => clock.advance(0.5), 5)
    onTestFinished(() => clearInterval(ticking))
    const host = { ...systemHost(), clock }
    await expect(claimInstance(host, folders, true)).rejects.toMatchObject({ name: 'StuckDaemonError' })
  })
})

describe('endDaemon', () => {
  it('ends the daemon, waits until it has ended, and returns its process id', async () => {
    const { host, folders, daemon } = await startLocalDaemon()
    expect(await endDaemon(host, folders)).toEqual({ pid: process.pid, unsaved: [] })
    await daemon.stopped
  })

  it('throws NoDaemonError if no daemon runs', async () => {
    const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
    await expect(endDaemon(systemHost(), folders)).rejects.toMatchObject({ name: 'NoDaemonError' })
  })
})

describe('a lock whose holder cannot be reached', () => {
  /** The lock is held, and a discovery file names a port on which no program listens. */
  async function heldLock(change: Partial<Endpoint>) {
    const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
    await mkdir(folders.data, { recursive: true, mode: 0o700 })
    const lock = await takeLock(systemFiles, folders.lockFile)
    onTestFinished(() => lock?.release())
    const { endpoint, server } = await startServer()
    await server.close()
    await writeEndpoint(systemFiles, folders.discoveryFile, { ...endpoint, ...change })
    const clock = new TestClock()
    const ticking = setInterval(() => clock.advance(0.5), 5)
    onTestFinished(() => clearInterval(ticking))
    const host = { ...systemHost(), clock, name: 'here', bootId: 'today' }
    return {
      host,
      folders,
      claim: () => claimInstance(host, folders, false).catch((error: unknown) => error),
      release: () => lock?.release(),
    }
  }

  it.each<[string, Partial<Endpoint>, object]>([
    ['on another computer, at once', { host: 'workstation' }, { kind: 'other_host', host: 'workstation' }],
    [
      'here, behind a firewall',
      { host: 'here', bootId: 'today', pid: process.pid },
      { kind: 'unreachable', pid: process.pid },
    ],
    ['of version 1.0, behind a firewall', { pid: process.pid }, { kind: 'unreachable', pid: process.pid }],
    ['of an earlier start of the system', { host: 'here', bootId: 'yesterday', pid: process.pid }, { kind: 'silent' }],
    ['whose process has ended', { host: 'here', bootId: 'today', pid: 2 ** 22 - 1 }, { kind: 'silent' }],
  ])('is told apart: %s', async (_name, change, reason) => {
    const { claim } = await heldLock(change)
    expect(await claim()).toMatchObject({ name: 'StuckDaemonError', reason })
  })

  it.skipIf(isWindows)(`is told apart: a daemon that is stopped${needs('signals and locks of POSIX')}`, async () => {
    const listening = spawn(
      process.execPath,
      ['-e', "require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })"],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    onTestFinished(() => void listening.kill('SIGKILL'))
    const port = Number(await new Promise((resolve) => listening.stdout.once('data', resolve)))
    const pid = Number(listening.pid)
    const { host, folders } = await heldLock({ host: 'here', bootId: 'today', pid, endpoint: `127.0.0.1:${port}` })
    listening.kill('SIGSTOP')
    const error = await connect(systemFiles, folders.discoveryFile, host.random).catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'NoDaemonError', reason: 'no_answer' })
    expect(await explainNoDaemon(error as NoDaemonError, host, folders)).toMatchObject({
      message: `the daemon (process ${pid}) runs, but does not respond`,
      reason: { kind: 'hanging', pid },
    })
  })

  it('is explained to a command that starts no daemon, while the lock is held and no longer', async () => {
    const { host, folders, release } = await heldLock({ host: 'workstation' })
    const error = new NoDaemonError('absent', await readEndpoint(systemFiles, folders.discoveryFile))
    expect(await explainNoDaemon(error, host, folders)).toMatchObject({
      name: 'StuckDaemonError',
      reason: { kind: 'other_host', host: 'workstation' },
    })
    await release()
    expect(await explainNoDaemon(error, host, folders)).toBe(error)
  })
})
