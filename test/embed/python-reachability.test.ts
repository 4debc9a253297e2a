// What the Python client says about a real daemon that it cannot reach: on another computer, cut off, or not startable.
import { spawnSync } from 'node:child_process'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hasNamespaces, newDiskWithoutLocks, OTHER_COMPUTER, OTHER_NETWORK } from '../support/elsewhere.ts'
import { environment, PROGRAM, runProgram, temporaryFolder } from '../support/program.ts'
import { findPythons } from '../support/python.ts'

const EMBED = fileURLToPath(new URL('../../embed/python', import.meta.url))

const python = findPythons().at(0)
/** Absolute, because a test replaces PATH. */
const executable = python
  ? spawnSync(python.program, ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).stdout.trim()
  : ''

const SCRIPT = `
import json, sys
import cadzero_auth
with cadzero_auth.Client(command=json.loads(sys.argv[1]), start=sys.argv[2] == 'start') as client:
    try:
        print(json.dumps({'state': client.status(timeout=30)['state']}))
    except cadzero_auth.NoDaemonError as error:
        print(json.dumps({'reason': error.reason, 'message': error.message, 'hint': error.hint}))
`

describe.skipIf(python === undefined)(
  `the Python client${python ? '' : ' (skipped: needs Python 3.9 or newer)'}`,
  { timeout: 60_000 },
  () => {
    describe.skipIf(!hasNamespaces)(
      `in a namespace${hasNamespaces ? '' : ' (skipped: needs root, util-linux, iproute2 and hostname)'}`,
      () => {
        it.each(['start', 'no start'])('names the computer on which the daemon runs (%s)', async (start) => {
          const home = await homeWithDaemon()
          expect(askFrom(OTHER_COMPUTER, home, start)).toMatchObject({
            reason: 'other_host',
            message: expect.stringMatching(
              /^the daemon runs on the computer (?!machine-b)\S+, which uses the same folders$/,
            ),
          })
          expect(askFrom([], home, 'no start')).toEqual({ state: 'signed_out' })
        })

        it('says in the words of the system that it cannot lock', async () => {
          expect(askFrom(await newDiskWithoutLocks(), await temporaryFolder(), 'start')).toMatchObject({
            reason: 'cannot_lock',
            message: expect.stringMatching(/cannot lock: \/.*daemon\.lock: flock: 3: No locks available$/),
            hint: 'set CADZERO_AUTH_HOME to a folder on a local disk',
          })
        })

        it.each(['start', 'no start'])('tells that a daemon runs in another network namespace (%s)', async (start) => {
          const home = await homeWithDaemon()
          expect(askFrom(OTHER_NETWORK, home, start)).toMatchObject({
            reason: 'other_network',
            message: expect.stringMatching(/^the daemon \(process \d+ on \S+\) runs in another network namespace, /),
            hint: expect.stringContaining('use cadzero-auth there'),
          })
        })
      },
    )

    it('tells that Node.js is not in the PATH of a graphical program', async () => {
      const [home, folder] = [await temporaryFolder(), await temporaryFolder()]
      const program = join(folder, 'cadzero-auth')
      await symlink(PROGRAM, program)
      await symlink('/bin/sh', join(folder, 'sh'))
      expect(askFrom([], home, 'start', { PATH: folder }, [program])).toMatchObject({
        reason: 'start_failed',
        message: expect.stringMatching(
          /^the daemon was started, but ended with code 127: .*env: .?node.?: No such file/,
        ),
      })
    })
  },
)

async function homeWithDaemon(): Promise<string> {
  const home = await temporaryFolder()
  onTestFinished(async () => void (await runProgram(['daemon', '--stop'], { home })))
  expect((await runProgram(['status'], { home })).code).toBe(0)
  return home
}

/** Runs the client through the `enter` command and returns what it found. */
function askFrom(
  enter: readonly string[],
  home: string,
  start: string,
  env: Readonly<Record<string, string>> = {},
  command: readonly string[] = [process.execPath, PROGRAM],
): unknown {
  const args = [...enter, executable, '-B', '-W', 'error', '-c', SCRIPT, JSON.stringify(command), start]
  const [file = '', ...rest] = args
  const { stdout, stderr } = spawnSync(file, rest, {
    env: { ...environment({ home, env }), PYTHONPATH: EMBED },
    encoding: 'utf8',
    timeout: 50_000,
  })
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}
