// A test run that is killed leaves no daemon and no folder behind.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { PROGRAM, runProgram, startDaemonProcess, temporaryFolder } from './program.ts'
import { REAPER } from './run-folder.ts'

/** A process that starts the reaper as a test run does, and then waits. */
const RUN = `
  const { spawn } = require('node:child_process')
  const reaper = spawn(process.execPath, process.argv.slice(1), { detached: true, stdio: ['pipe', 'ignore', 'inherit'] })
  setInterval(() => undefined, 1000)
  console.log('started')`

it.skipIf(process.platform !== 'linux')('ends the daemons of a run that was killed, and no other (Linux)', async () => {
  const folder = await temporaryFolder()
  const [killed, other] = [join(folder, 'killed'), join(folder, 'other')]
  await Promise.all([killed, other].map((name) => mkdir(name)))
  const run = spawn(process.execPath, ['-e', RUN, REAPER, killed], { stdio: ['ignore', 'pipe', 'pipe'] })
  await once(run.stdout, 'data')
  const started = await runProgram(['status'], { home: join(killed, 'home') }) // starts a daemon in the background
  expect(started.code).toBe(0)
  const daemon = await startDaemonProcess({ home: join(other, 'home') })

  run.kill('SIGKILL')
  const [said] = await once(run.stderr, 'data')
  expect(String(said)).toMatch(/^ended what was left behind: process \d+\n$/)
  expect(existsSync(killed)).toBe(false)
  expect(await runProgram(['status', '--no-start'], { home: join(other, 'home') })).toMatchObject({ code: 0 })
  expect(daemon.child.exitCode).toBe(null)
})

/** A bench whose command has started a daemon in the background; it says where, and waits. */
const BENCH = `
  import { spawnSync } from 'node:child_process'
  import { readFileSync } from 'node:fs'
  const { newRunFolder } = await import('./scripts/bench/run-folder.ts')
  const { plainEnvironment } = await import('./scripts/plain-environment.ts')
  const { path } = newRunFolder('test')
  const env = { ...plainEnvironment(), CADZERO_AUTH_HOME: path + '/home', CADZERO_AUTH_KEY_PROTECTION: 'keyfile' }
  spawnSync(process.execPath, [process.argv[1], 'status'], { env })
  const { pid } = JSON.parse(readFileSync(path + '/home/data/endpoint.json', 'utf8'))
  const { freezerOf } = await import('./scripts/bench/freezer.ts')
  freezerOf(pid, path).freeze()
  setInterval(() => undefined, 1000)
  console.log(JSON.stringify({ path, pid }))`

const groupsOf = (pid: number) =>
  ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].filter((root) => existsSync(`${root}/cadzero-auth-bench-${pid}`))

it.skipIf(process.platform !== 'linux').each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)(
  'no process, file or control group of a bench is left after %s, also if its daemon is frozen (Linux)',
  async (signal) => {
    const args = ['--import', 'tsx', '--input-type=module', '-e', BENCH, PROGRAM]
    const bench = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void bench.kill('SIGKILL'))
    const [said] = await once(bench.stdout, 'data')
    const { path, pid } = JSON.parse(String(said)) as { path: string; pid: number }
    expect(existsSync(`/proc/${pid}`)).toBe(true)

    bench.kill(signal)
    await expect.poll(() => existsSync(path), { timeout: 15_000 }).toBe(false)
    await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 15_000 }).toBe(false)
    await expect.poll(() => groupsOf(pid), { timeout: 15_000 }).toEqual([])
  },
)
