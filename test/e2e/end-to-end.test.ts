// The complete hand-off flow: Chromium, the page, the daemon, the broker, Clerk's stand-in, the add-in, and an API.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { verifyToken } from '@clerk/backend'
import { chromium } from 'playwright-core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startFrontend } from '../sandbox/frontend.ts'
import type { Sandbox } from '../sandbox/index.ts'
import { startBroker } from '../support/broker.ts'
import { configure } from '../support/handoff.ts'
import { endOf, environment, PROGRAM, startDaemonProcess, temporaryFolder } from '../support/program.ts'
import { findPythons } from '../support/python.ts'
import { newSandbox } from '../support/world.ts'

const CHROMIUM = '/usr/bin/chromium'
const EMBED = fileURLToPath(new URL('../../embed/python', import.meta.url))
const TOKEN_SECONDS = 5 // instead of Clerk's 60
const LIFETIMES = 3

const python = findPythons().at(0)
const missing = [...(existsSync(CHROMIUM) ? [] : [CHROMIUM]), ...(python ? [] : ['Python 3.9'])]
const why = missing.length > 0 ? ` (skipped: needs ${missing.join(' and ')})` : ''

/** An API that verifies session tokens with Clerk's SDK, as CADZERO's backend does. */
async function startApi({ backend, issuer, user }: Sandbox) {
  const calls = { authorised: 0, refused: 0 }
  const server = createServer((request, response) => {
    const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    // Clerk's default tolerance of five seconds is longer than the lifetime of these tokens.
    const options = { secretKey: backend.secretKey, apiUrl: backend.url, issuer, clockSkewInMs: 1 }
    void verifyToken(token, options)
      .then(({ sub, sid }) => sub === user.id && typeof sid === 'string')
      .catch(() => false)
      .then((authorised) => {
        calls[authorised ? 'authorised' : 'refused']++
        response.writeHead(authorised ? 200 : 401).end()
      })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, calls }
}

/** A program that the daemon opens as the browser. It sends the URL to this test, which then signs in with Chromium. */
async function newBrowser(folder: string) {
  const opened: string[] = []
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  })
  onTestFinished(() => browser.close())
  const server = createServer((request, response) => {
    const url = String(new URL(String(request.url), 'http://x').searchParams.get('url'))
    opened.push(url)
    response.end()
    void signIn(url)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const signIn = async (url: string) => {
    const tab = await (await browser.newContext()).newPage()
    await tab.goto(url)
    await tab.locator('#sign-in').click()
    await tab.getByRole('button', { name: 'Continue' }).click()
    await tab.getByText('You are signed in').waitFor()
  }
  const program = join(folder, 'browser')
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/?url=`
  await writeFile(
    program,
    `#!${process.execPath}\nfetch(${JSON.stringify(address)} + encodeURIComponent(process.argv[2]))\n`,
  )
  await chmod(program, 0o700)
  return { program, opened }
}

describe.skipIf(missing.length > 0)(`an add-in over several token lifetimes${why}`, { timeout: 120_000 }, () => {
  it('asks the user to sign in once, and every call is authorised', async () => {
    const sandbox = await newSandbox()
    const { backend, user } = sandbox
    backend.setTokenLifetime(TOKEN_SECONDS)
    const sessionId = backend.createSession()
    const frontend = await startFrontend({
      mint: (session, azp) => backend.sessionToken(session, { azp, lifetimeSeconds: 60 }),
      user,
      sessionId,
      status: null, // the user has not signed in to the web app yet
    })
    onTestFinished(() => frontend.close())
    const broker = await startBroker(sandbox, { authorizedParties: [frontend.origin] })
    frontend.setBroker(broker.url)
    const api = await startApi(sandbox)
    const [home, folder] = [await temporaryFolder(), await temporaryFolder()]
    const settings = { signInUrl: frontend.pageUrl, authorizedParties: [frontend.origin], brokerUrl: broker.url }
    await configure(home, sandbox.issuer, settings)
    const browser = await newBrowser(folder)
    const env = { CADZERO_AUTH_BROWSER: browser.program }
    await startDaemonProcess({ home, env })

    const seconds = TOKEN_SECONDS * LIFETIMES
    const args = ['-B', '-W', 'error', join(EMBED, 'tests', 'calls.py'), EMBED, api.url, String(seconds)]
    const child = spawn(String(python?.program), args, {
      env: { ...environment({ home, env }), CADZERO_AUTH_COMMAND: JSON.stringify([process.execPath, PROGRAM]) },
    })
    const { code, stdout, stderr } = await endOf(child)
    expect(code, stderr).toBe(0)
    const counts = JSON.parse(stdout)
    expect(counts).toMatchObject({ refused: 0, user: user.id })
    expect(counts.calls).toBeGreaterThan(LIFETIMES * 5)
    expect(browser.opened).toHaveLength(1)
    // For comparison: a client that keeps a token until it expires needs a sign-in at least once per lifetime.
    expect(counts.olderSignIns).toBeGreaterThanOrEqual(LIFETIMES - 1)
    expect(api.calls.refused).toBe(counts.olderRefused)
    // The client wants ten seconds of validity and gets half of five, rounded down: about two requests per lifetime.
    expect(sandbox.count(`/v1/sessions/${sessionId}/tokens`)).toBeLessThanOrEqual(LIFETIMES * 4)
  })
})
