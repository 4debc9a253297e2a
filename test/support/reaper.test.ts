// A test run that is killed leaves no daemon and no folder behind.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runProgram, startDaemonProcess, temporaryFolder } from './program.ts'
import { REAPER } from './run-folder.ts'

/** A process that starts the reaper as a test run does, and then waits. */
const RUN = `
  const { spawn } = require('node:child_process')
  const reaper = spawn(process.execPath, process.argv.slice(1), { detached: true, stdio: ['pipe', 'ignore', 'inherit'] })
  setInterval(() => undefined, 1000)
  console.log('started')`

it.skipIf(process.platform !== 'linux')('ends the daemons of a run that was killed, and no other', async () => {
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
  expect(String(said)).toMatch(/^ended what the tests have left behind: process \d+\n$/)
  expect(existsSync(killed)).toBe(false)
  expect(await runProgram(['status', '--no-start'], { home: join(other, 'home') })).toMatchObject({ code: 0 })
  expect(daemon.child.exitCode).toBe(null)
})
