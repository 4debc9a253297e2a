// `cadzero-auth broker`, in a process of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import type { Readable } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { newKey, tokensPath } from '../support/broker.ts'
import { PROGRAM, runProgram, temporaryFolder } from '../support/program.ts'
import { newSandbox } from '../support/world.ts'

/** The environment of the command, with a sandbox as Clerk. */
async function settings() {
  const sandbox = await newSandbox()
  const key = newKey().toString('base64url')
  const env = {
    PATH: process.env.PATH,
    CLERK_SECRET_KEY: sandbox.backend.secretKey,
    CLERK_API_URL: sandbox.backend.url,
    CADZERO_BROKER_KEY: key,
    CADZERO_BROKER_INSTANCES: sandbox.issuer,
    CADZERO_BROKER_PORT: '0',
  }
  return { sandbox, key, env }
}

/** The command on a free port. */
async function start() {
  const { sandbox, key, env } = await settings()
  const child = spawn(process.execPath, [PROGRAM, 'broker'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  await once(child.stdout, 'data')
  const url = String(/listening on (\S+)/.exec(stdout)?.[1])
  const refresh = (body: object, token?: string) => {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const headers = { 'content-type': 'application/json', ...authorization }
    return fetch(`${url}/api/auth/refresh`, { method: 'POST', headers, body: JSON.stringify(body) })
  }
  return { sandbox, child, url, refresh, stdout: () => stdout, key }
}

const canConnect = (url: string) =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

describe('cadzero-auth broker', () => {
  it('serves until SIGTERM, then completes the running request, and logs no secret', async () => {
    const { sandbox, child, url, refresh, stdout, key } = await start()
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const sessionId = sandbox.backend.createSession()
    const token = await sandbox.backend.sessionToken(sessionId)
    const exchanged = await refresh({ session_id: sessionId }, token)
    expect(exchanged.status).toBe(200)
    const { refresh_token } = (await exchanged.json()) as { refresh_token: string }

    let release: () => void = () => undefined
    const until = new Promise<void>((resolve) => {
      release = resolve
    })
    const arrived = sandbox.arrived(tokensPath(sessionId))
    sandbox.script(tokensPath(sessionId), { kind: 'hold', until })
    const running = refresh({ refresh_token })
    await arrived
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await expect.poll(() => canConnect(url)).toBe(false)
    release()
    expect((await running).status).toBe(200)
    expect(await exited).toEqual([0, null])
    expect(stdout()).toContain('"event":"refreshed"')
    const secrets = [token, refresh_token, key, sandbox.backend.secretKey]
    for (const secret of secrets) expect(stdout()).not.toContain(secret)
  })

  it.runIf(process.platform === 'linux')(
    'serves although the disk of its log is full, and ends at SIGTERM',
    async () => {
      const { env } = await settings()
      const probe = createServer().listen(0, '127.0.0.1')
      await once(probe, 'listening')
      const { port } = probe.address() as AddressInfo
      probe.close()
      const full = await open('/dev/full', 'w')
      onTestFinished(() => full.close())
      const child = spawn(process.execPath, [PROGRAM, 'broker'], {
        env: { ...env, CADZERO_BROKER_PORT: String(port) },
        stdio: ['ignore', full.fd, 'pipe'],
      })
      onTestFinished(() => void child.kill('SIGKILL'))
      const [said] = await once(child.stderr as Readable, 'data') // its first line could not be printed, so that it listens by now
      expect(String(said)).toBe('error: the output cannot be written: ENOSPC\n')
      for (let request = 0; request < 3; request++) {
        const { status } = await fetch(`http://127.0.0.1:${port}/api/auth/refresh`, { method: 'POST', body: '{}' })
        expect(status).toBe(415)
      }
      child.kill('SIGTERM')
      expect(await once(child, 'exit')).toEqual([1, null])
    },
  )

  it('prints a new key with --generate-key', async () => {
    const { stdout } = await runProgram(['broker', '--generate-key'], { home: await temporaryFolder() })
    expect(stdout).toMatch(/^[\w-]{43}\n$/)
  })
})
