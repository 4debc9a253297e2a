// The npm package, installed by npm with its dependencies in an empty folder.
import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { temporaryFolder } from '../support/folder.ts'
import { runProgram, startDaemonProcess } from '../support/program.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

it('the program and the broker run from an installed tarball', { timeout: 120_000 }, async () => {
  const folder = await temporaryFolder()
  const packed = await run('npm', ['pack', '--json', '--silent', '--pack-destination', folder], { cwd: ROOT })
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }]
  const empty = join(folder, 'empty')
  await mkdir(empty)
  const quiet = ['--silent', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', '--prefix', empty]
  await run('npm', ['install', ...quiet, join(folder, filename)], { cwd: empty })

  const home = join(folder, 'home')
  const options = { home, program: [join(empty, 'node_modules', '.bin', 'cadzero-auth')] } as const
  const { code, stdout } = await runProgram(['--version'], options)
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(`^${manifest.version}`) })
  expect(await (await (await startDaemonProcess(options)).connect()).call('status')).toMatchObject({
    daemon: { version: manifest.version },
  })
  const loaded = "console.log(typeof require('cadzero-auth/broker').createBroker)"
  expect((await run(process.execPath, ['-e', loaded], { cwd: empty })).stdout).toBe('function\n')
})
