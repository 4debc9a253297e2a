// Why no daemon is reached: each cause has its own words in commands and in the doctor. The Python client: test/embed.
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Finding } from '../../src/cli/doctor/finding.ts'
import { hasNamespaces, newDiskWithoutLocks, OTHER_COMPUTER, OTHER_NETWORK } from '../support/elsewhere.ts'
import { isWindows, needs } from '../support/posix.ts'
import {
  PROGRAM,
  type ProgramOptions,
  runProgram,
  startDaemonProcess,
  stopDaemonAfterTest,
  temporaryFolder,
} from '../support/program.ts'

/** The options of a program that a command such as `unshare` starts. */
function within(enter: readonly string[], home: string): ProgramOptions {
  const [file = process.execPath, ...args] = [...enter, process.execPath, PROGRAM]
  return { home, program: [file, ...args] }
}

async function doctorsFinding(options: ProgramOptions): Promise<Finding | undefined> {
  const { stdout } = await runProgram(['doctor', '--json'], options)
  return (JSON.parse(stdout) as Finding[]).find(({ check }) => check === 'daemon')
}

describe.skipIf(!hasNamespaces)(
  `a daemon that runs and is not reached${hasNamespaces ? '' : ' (skipped: needs root, util-linux, iproute2 and hostname)'}`,
  () => {
    it.each([
      [
        'on another computer',
        OTHER_COMPUTER,
        /the daemon runs on the computer (?!machine-b)\S+, which uses the same folders/,
        /use cadzero-auth on that computer/,
      ],
      [
        'in another network namespace, such as a container',
        OTHER_NETWORK,
        /the daemon \(process \d+ on \S+\) runs in another network namespace/,
        /use cadzero-auth there/,
      ],
    ])('%s is named by each command and by the doctor', async (_name, enter, said, hint) => {
      const home = await temporaryFolder()
      await startDaemonProcess({ home })
      const options = within(enter, home)
      for (const args of [['status', '--no-start'], ['status'], ['daemon', '--stop'], ['daemon']]) {
        const { code, stderr } = await runProgram(args, options)
        expect({ args, code }).toEqual({ args, code: 3 })
        expect(stderr.split('\n')).toMatchObject([expect.stringMatching(said), expect.stringMatching(hint), ''])
      }
      expect(await doctorsFinding(options)).toMatchObject({
        verdict: 'failed',
        found: expect.stringMatching(said),
        hint: expect.stringMatching(hint),
      })
      expect((await runProgram(['status', '--no-start'], { home })).code).toBe(0)
    })

    it('on a disk without locks is told in the words of the system', async () => {
      const home = await temporaryFolder()
      await mkdir(join(home, 'data'), { recursive: true, mode: 0o700 })
      const options = within(await newDiskWithoutLocks(), home)
      const said = /cannot lock: \/.*daemon\.lock: flock: 3: No locks available/
      for (const args of [['status'], ['daemon']]) {
        const { code, stderr } = await runProgram(args, options)
        expect({ args, code }).toEqual({ args, code: 3 })
        expect(stderr).toMatch(said)
        expect(stderr).toMatch(/\nhint: set CADZERO_AUTH_HOME to a folder on a local disk\n$/)
      }
      expect(await doctorsFinding(options)).toMatchObject({ verdict: 'failed', found: expect.stringMatching(said) })
    })
  },
)

describe.skipIf(isWindows)(`a daemon that hangs${needs('signals of POSIX')}`, { timeout: 60_000 }, () => {
  it('is named by each command, which starts no other one', async () => {
    const home = await temporaryFolder()
    const { child } = await startDaemonProcess({ home })
    child.kill('SIGSTOP')
    const error = `error: the daemon (process ${child.pid}) runs, but does not respond`
    const stderr = `${error}\nhint: end the daemon process that hangs, then try again\n`
    const commands = [['header'], ['header', '--json'], ['status'], ['status', '--no-start']]
    const ended = await Promise.all(commands.map((args) => runProgram(args, { home })))
    for (const [i, one] of ended.entries()) {
      expect(one).toMatchObject(i === 1 ? { code: 3, stdout: '' } : { code: 3, stdout: '', stderr })
    }
    expect(JSON.parse(String(ended[1]?.stderr)).error.message).toBe(error.slice('error: '.length))
  })

  it('is started although a program that does not answer has the port of the last one', async () => {
    const home = await temporaryFolder()
    const first = await startDaemonProcess({ home })
    const endpoint = JSON.parse(await readFile(first.discoveryFile, 'utf8'))
    await first.stop('SIGKILL')
    const other = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void other.close())
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    await writeFile(first.discoveryFile, JSON.stringify({ ...endpoint, endpoint: `127.0.0.1:${port}` }))
    stopDaemonAfterTest({ home })
    expect(await runProgram(['header'], { home })).toMatchObject({ code: 4, stdout: '' })
  })
})

describe('a daemon that does not start', () => {
  it('is told with its exit code and its error by a command and by the doctor', async () => {
    const home = await temporaryFolder()
    await mkdir(join(home, 'data'), { mode: 0o700 })
    await writeFile(join(home, 'log'), 'not a folder')
    const said = /the daemon was started, but ended with code 1: .*log: it is not a folder/
    const { code, stderr } = await runProgram(['status'], { home })
    expect(code).toBe(3)
    expect(stderr).toMatch(said)
    expect(await doctorsFinding({ home })).toMatchObject({ verdict: 'failed', found: expect.stringMatching(said) })
  })
})

describe('a daemon that is not running', () => {
  it('is started for a trial by the doctor, which leaves none running', async () => {
    const home = await temporaryFolder()
    stopDaemonAfterTest({ home })
    expect(await doctorsFinding({ home })).toEqual({
      check: 'daemon',
      verdict: 'warning',
      found: 'no daemon is running',
      hint: 'run cadzero-auth status to start it in the background',
    })
    expect(await runProgram(['status', '--no-start'], { home })).toMatchObject({
      code: 3,
      stderr: 'error: no daemon is running\nhint: run cadzero-auth status to start it in the background\n',
    })
  })
})
