// Commands whose output ends before they do: a reader that has gone, a full device, Ctrl-C.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { isWindows, needs } from '../support/posix.ts'
import {
  environment,
  PROGRAM,
  runProgram,
  spawnProgram,
  startDaemonProcess,
  temporaryFolder,
} from '../support/program.ts'
import { newWorld } from '../support/world.ts'

const line = (event: string) => `${JSON.stringify({ level: 30, time: 'T', event })}\n`

/** A home with a log of one line. */
async function homeWithLog(): Promise<{ home: string; log: string }> {
  const home = await temporaryFolder()
  const log = join(home, 'log', 'daemon.log')
  await mkdir(join(home, 'log'), { mode: 0o700 })
  await writeFile(log, line('first'), { mode: 0o600 })
  return { home, log }
}

describe('a command whose reader has gone', () => {
  it('service logs -f ends quietly with 0 at the next line', async () => {
    const { home, log } = await homeWithLog()
    const { child, ended } = spawnProgram(['service', 'logs', '-f'], { home })
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    child.stdout.destroy()
    await appendFile(log, line('second'))
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
  })

  it('status --watch ends quietly with 0 at the next change', async () => {
    const { home, env, client } = await newWorld()
    const { child, ended } = spawnProgram(['status', '--watch', '--json'], { home, env })
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    child.stdout.destroy()
    await client.call('login', { openBrowser: false, wait: false })
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
  })

  it('status --watch ends quietly with 0 although nothing changes', async () => {
    const { home } = await startDaemon()
    const { child, ended } = spawnProgram(['status', '--watch'], { home })
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    child.stdout.destroy()
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
  })

  it('a long result ends quietly with 0', async () => {
    const { home } = await startDaemon()
    const { child, ended } = spawnProgram(['rpc', 'rpc.discover'], { home })
    child.stdout.destroy()
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
  })

  it('an error keeps its exit code, although it cannot be printed', async () => {
    const { child, ended } = spawnProgram(['status', '--no-start'], { home: await temporaryFolder() })
    child.stderr.destroy()
    expect((await ended).code).toBe(3)
  })
})

async function startDaemon() {
  const home = await temporaryFolder()
  return { home, daemon: await startDaemonProcess({ home }) }
}

describe.runIf(process.platform === 'linux')('a command whose output device is full (Linux)', () => {
  it.each([[['--help']], [['config']], [['service', 'logs']], [['service', 'logs', '-f']]])(
    '%j says so in one line and ends with 1',
    async (args) => {
      const { home } = await homeWithLog()
      const full = await open('/dev/full', 'w')
      onTestFinished(() => full.close())
      const child = spawn(process.execPath, [PROGRAM, ...args], {
        env: environment({ home }),
        stdio: ['ignore', full.fd, 'pipe'],
      })
      onTestFinished(() => void child.kill('SIGKILL'))
      let stderr = ''
      child.stderr?.on('data', (chunk) => {
        stderr += chunk
      })
      const [code] = await once(child, 'close')
      expect({ code, stderr }).toEqual({ code: 1, stderr: 'error: the output cannot be written: ENOSPC\n' })
    },
  )
})

describe('status --watch', () => {
  it.skipIf(isWindows)(`says nothing at Ctrl-C${needs('signals')}`, async () => {
    const { home } = await startDaemon()
    const { child, ended } = spawnProgram(['status', '--watch', '--json'], { home })
    await once(child.stdout, 'data')
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^\{.*\}\n$/) })
  })

  it('says that the daemon has stopped if it has', async () => {
    const { home, daemon } = await startDaemon()
    const { child, ended } = spawnProgram(['status', '--watch'], { home })
    await once(child.stdout, 'data')
    await daemon.stop()
    expect(await ended).toMatchObject({ code: 0, stderr: 'the daemon has stopped\n' })
  })

  it('says that the connection was lost if the daemon was killed', async () => {
    const { home, daemon } = await startDaemon()
    const { child, ended } = spawnProgram(['status', '--watch'], { home })
    await once(child.stdout, 'data')
    await daemon.stop('SIGKILL')
    expect(await ended).toMatchObject({ code: 0, stderr: 'the connection to the daemon was lost\n' })
  })
})

describe('a daemon in the foreground', () => {
  it('goes on if the reader of its output has gone', async () => {
    const { home, daemon } = await startDaemon()
    daemon.child.stdout?.destroy()
    daemon.child.stderr?.destroy()
    expect(await runProgram(['status', '--no-start'], { home })).toMatchObject({ code: 0 })
    expect(await daemon.stop()).toBe(0)
  })
})
