// The example add-in beside the real daemon, in a Fusion that is played by a Python script.
import { spawn } from 'node:child_process'
import { describe, expect, it, onTestFinished } from 'vitest'
import { configure } from '../support/handoff.ts'
import { endOf, environment, PROGRAM, runProgram, temporaryFolder } from '../support/program.ts'
import { findPythons } from '../support/python.ts'
import { newSandbox } from '../support/world.ts'
import { browserOf, FUSION, newAddIn } from './add-in.ts'

const python = findPythons().at(-1)

describe.skipIf(python === undefined)(
  `the example add-in${python ? '' : ' (skipped: needs Python 3.9 or newer)'}`,
  { timeout: 120_000 },
  () => {
    it('signs in and out from its palette, switches the backend, and works after Stop and Run', async () => {
      const [sandbox, home, folder] = [await newSandbox(), await temporaryFolder(), await temporaryFolder()]
      await configure(home, sandbox.issuer, {})
      const addIn = await newAddIn(folder)
      const env = {
        CADZERO_AUTH_BROWSER: (await browserOf(sandbox, folder)).browser,
        CADZERO_AUTH_COMMAND: JSON.stringify([process.execPath, PROGRAM]),
      }
      onTestFinished(async () => void (await runProgram(['daemon', '--stop'], { home })))
      const child = spawn(String(python?.program), ['-B', '-W', 'error', FUSION, addIn], {
        env: environment({ home, env }),
      })
      const { code, stdout, stderr } = await endOf(child)
      expect(code, stdout + stderr).toBe(0)
      expect(stdout.match(/^ok /gm)).toHaveLength(5)
    })
  },
)
