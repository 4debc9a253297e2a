// The demo as a newcomer runs it, from the link that it prints to its last line.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { signIn, type VisitOptions } from '../sandbox/user.ts'
import { environment, temporaryFolder } from '../support/program.ts'

const TIMEOUT = { timeout: 60_000 }
const DEMO = fileURLToPath(new URL('../../scripts/demo.ts', import.meta.url))

/** Runs the demo, and follows its link in place of the browser. */
async function runDemo(visit: VisitOptions) {
  const env = environment({ home: await temporaryFolder() })
  const child = spawn(process.execPath, ['--import', 'tsx', DEMO, '--once'], { env })
  onTestFinished(() => void child.kill('SIGTERM'))
  let [stdout, stderr] = ['', '']
  let visited: Promise<unknown> | undefined
  child.stdout.on('data', (chunk) => {
    stdout += chunk
    const [, url] = /^sign in (\S+)\n/m.exec(stdout) ?? []
    // A slow machine may load the last page too late: the demo stops the daemon soon after a declined sign-in.
    if (url) visited ??= signIn(new URL(url).origin, url, visit).catch(() => undefined)
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [code] = await once(child, 'close')
  await visited
  return { code, stdout, stderr }
}

it('shows a sign-in, a refresh and a logout', TIMEOUT, async () => {
  const { code, stdout, stderr } = await runDemo({})
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain('signed in as Ada Lovelace <ada@example.com>')
  expect(stdout).toContain('(after the first one expired)')
  expect(stdout).toContain('revoked at the provider')
})

it('reports a declined sign-in in one sentence', TIMEOUT, async () => {
  const { code, stderr } = await runDemo({ deny: true })
  expect(code).toBe(1)
  expect(stderr).toBe('error: the sign-in was declined in the browser; run the demo again to sign in\n')
})
