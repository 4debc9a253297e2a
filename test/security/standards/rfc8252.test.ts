// RFC 8252, OAuth 2.0 for Native Apps.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { environment, PROGRAM, temporaryFolder } from '../../support/program.ts'
import { newWorld } from '../../support/world.ts'
import { startSignIn, TOKEN } from './support.ts'

const canUnshare = process.platform === 'linux' && process.getuid?.() === 0

const isOpen = (redirectUri: string) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(Number(new URL(redirectUri).port), '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

describe('RFC 8252', () => {
  it('[8252-2] depends on no package with an embedded user-agent', () => {
    const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: object }
    const embedded = Object.keys(dependencies).filter((name) => /webview|electron|puppeteer|playwright|nw$/.test(name))
    expect(embedded).toEqual([])
  })

  it.skipIf(!canUnshare)(
    `[8252-4] starts without a loopback interface, or says what is missing${canUnshare ? '' : ' (needs root and unshare)'}`,
    async () => {
      const child = spawn('unshare', ['-n', process.execPath, PROGRAM, 'daemon'], {
        env: environment({ home: await temporaryFolder() }),
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      onTestFinished(() => void child.kill('SIGKILL'))
      let output = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk) => {
          output += chunk
        })
      }
      await Promise.race([once(child.stdout, 'data'), once(child, 'close')])
      expect(output).toMatch(/^(ready |error: )/)
    },
  )

  it('[8252-5] closes the callback port at success, denial, cancel, logout and shutdown', async () => {
    const { client, sandbox, daemon } = await newWorld()
    const ends: Record<string, (url: string) => Promise<unknown>> = {
      success: (url) => sandbox.signIn(url),
      denial: (url) => sandbox.signIn(url, { deny: true }),
      cancel: () => client.call('cancelLogin'),
      logout: () => client.call('logout'),
      shutdown: () => daemon.stop(),
    }
    for (const [name, end] of Object.entries(ends)) {
      const { url, redirectUri } = await startSignIn(client)
      expect(await isOpen(redirectUri), name).toBe(true)
      await end(url)
      await expect.poll(() => isOpen(redirectUri), { timeout: 3000, message: name }).toBe(false)
    }
  })

  it('[8252-6] sends no client secret in a sign-in, a refresh or a logout', async () => {
    const { client, sandbox, signIn } = await newWorld()
    await signIn()
    await client.call('refresh')
    await client.call('logout')
    const sent = sandbox.requests.filter(({ method }) => method === 'POST')
    expect(sent.map(({ form }) => form.client_id)).toContain(sandbox.clientId)
    for (const { form, query, path } of sent) {
      expect({ ...form, ...query }, path).not.toHaveProperty('client_secret')
      expect({ ...form, ...query }, path).not.toHaveProperty('client_assertion')
    }
  })

  it('[8252-8] gives each sign-in its own redirect, and refuses a response to another', async () => {
    const { client, sandbox } = await newWorld()
    const { url, redirectUri } = await startSignIn(client)
    const { callbackUrl } = await sandbox.signIn(url, { deliver: false })
    await client.call('cancelLogin')
    const next = await startSignIn(client)
    expect(next.redirectUri).not.toBe(redirectUri)
    const wrong = new URL(next.redirectUri)
    wrong.search = new URL(callbackUrl).search
    expect((await fetch(wrong)).status).toBe(400)
    expect((await fetch(new URL('/other', next.redirectUri))).status).toBe(404)
    expect(sandbox.count(TOKEN)).toBe(0)
  })
})
