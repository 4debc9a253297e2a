// The Python client and its drop-in: their own tests in each Python, and an add-in beside the real daemon.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startBroker } from '../support/broker.ts'
import { configure } from '../support/handoff.ts'
import { environment, PROGRAM, runProgram, temporaryFolder } from '../support/program.ts'
import { findPythons, type Python } from '../support/python.ts'
import { newSandbox } from '../support/world.ts'
import { browserOf } from './add-in.ts'

const EMBED = fileURLToPath(new URL('../../embed/python', import.meta.url))

const PARTS = ['auth.py', 'cadzero_auth'] // what an add-in copies

const pythons = findPythons()
/** The oldest and the newest. */
const chosen = [...new Set([pythons.at(0), pythons.at(-1)])].filter((python) => python !== undefined)
const cases = chosen.map((python): [string, Python] => [python.version.join('.'), python])
const condition =
  cases.length === 0 ? 'skipped: needs Python 3.9 or newer' : `Python ${cases.map(([v]) => v).join(' and ')}`

describe.skipIf(cases.length === 0)(`the Python client (${condition})`, { timeout: 120_000 }, () => {
  it.each(cases)('passes its unit tests, the hostile daemons included, in Python %s', (_version, { program }) => {
    const args = ['-B', '-W', 'error', '-m', 'unittest']
    const { status, stderr } = spawnSync(program, args, { cwd: EMBED, encoding: 'utf8', timeout: 110_000 })
    expect(stderr).toMatch(/Ran \d\d+ tests/)
    expect(status, stderr).toBe(0)
  })

  it.each(cases)('compiles without a warning in Python %s', async (_version, { program }) => {
    const folder = await temporaryFolder()
    for (const part of PARTS) await cp(join(EMBED, part), join(folder, part), { recursive: true })
    execFileSync(program, ['-W', 'error', '-m', 'compileall', '-q', '-f', folder])
  })

  it.each(cases)(
    'serves an add-in through the drop-in, from its legacy session to a sign-out, in Python %s',
    async (_version, { program }) => {
      const sandbox = await newSandbox()
      const [home, folder] = [await temporaryFolder(), await temporaryFolder()]
      sandbox.backend.setTokenLifetime(30)
      const broker = await startBroker(sandbox, { requestsPerMinute: 1000 })
      await configure(home, sandbox.issuer, { brokerUrl: broker.url })
      const sessionId = sandbox.backend.createSession()
      const { id: user_id, email: user_email, name: user_name } = sandbox.user
      const legacyToken = await sandbox.backend.sessionToken(sessionId)
      const legacy = { token: legacyToken, user_id, user_email, user_name, session_id: sessionId, token_expiry: 1.5 }
      for (const part of PARTS) await cp(join(EMBED, part), join(folder, part), { recursive: true })
      await writeFile(join(folder, '.auth_token.json'), JSON.stringify(legacy))

      const { browser, sessionId: signedIn, token } = await browserOf(sandbox, folder)
      const env = {
        ...environment({ home, env: { CADZERO_AUTH_BROWSER: browser } }),
        CADZERO_AUTH_COMMAND: JSON.stringify([process.execPath, PROGRAM]),
      }
      onTestFinished(async () => void (await runProgram(['daemon', '--stop'], { home })))
      const child = spawn(program, ['-B', '-W', 'error', join(EMBED, 'tests', 'scenario.py'), folder], { env })
      let output = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk) => {
          output += chunk
        })
      }
      const [code] = await once(child, 'close')
      expect(code, output).toBe(0)
      expect(output.match(/^ok /gm)).toHaveLength(9)
      const log = await readFile(join(home, 'log', 'daemon.log'), 'utf8')
      for (const secret of [legacyToken, token]) expect(output + log).not.toContain(secret)
      expect(sandbox.backend.status(sessionId)).toBe('revoked')
      expect(sandbox.backend.status(signedIn)).toBe('revoked')
    },
  )
})
