// `cadzero-auth broker`, in a process of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tokensPath } from '../support/broker.ts'
import { brokerEnv, spawnBroker } from '../support/broker-process.ts'
import { isWindows, needs } from '../support/posix.ts'
import { PROGRAM, runProgram, temporaryFolder } from '../support/program.ts'
import { newSandbox } from '../support/world.ts'

/** The command on a port of its own. */
async function start(overrides: Readonly<Record<string, string>> = {}) {
  const sandbox = await newSandbox()
  const env = await brokerEnv(sandbox, overrides)
  const broker = await spawnBroker(env)
  const refresh = (body: object, token?: string) => {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const headers = { 'content-type': 'application/json', ...authorization }
    return fetch(`${broker.url}/api/auth/refresh`, { method: 'POST', headers, body: JSON.stringify(body) })
  }
  return { sandbox, env, refresh, ...broker }
}

const canConnect = (url: string) =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

describe('cadzero-auth broker', () => {
  it.skipIf(isWindows)(
    `serves until SIGTERM, then completes the running request, and logs no secret${needs('signals')}`,
    async () => {
      const { sandbox, child, url, refresh, stdout, env, exited } = await start()
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
      child.kill('SIGTERM')
      await expect.poll(() => canConnect(url)).toBe(false)
      release()
      expect((await running).status).toBe(200)
      expect(await exited).toEqual([0, null])
      expect(stdout()).toContain('"event":"refreshed"')
      const secrets = [token, refresh_token, env.CADZERO_BROKER_KEY, sandbox.backend.secretKey]
      for (const secret of secrets) expect(stdout()).not.toContain(secret)
    },
  )

  it.skipIf(isWindows)(
    `after SIGTERM is not ready but serves, until it has drained or a second signal comes${needs('signals')}`,
    async () => {
      const { child, url, exited } = await start({ CADZERO_BROKER_DRAIN_SECONDS: '300', CLERK_JWT_KEY: '' })
      child.kill('SIGTERM')
      const isDraining = async () => ((await (await fetch(`${url}/readyz`)).json()) as { draining: boolean }).draining
      await expect.poll(isDraining).toBe(true)
      expect((await fetch(`${url}/readyz`)).status).toBe(503)
      const answer = await fetch(`${url}/livez`)
      expect({ status: answer.status, connection: answer.headers.get('connection') }).toEqual({
        status: 200,
        connection: 'close',
      })
      child.kill('SIGTERM')
      expect(await exited).toEqual([null, 'SIGTERM'])
    },
  )

  it.skipIf(isWindows)(`ends at SIGINT without draining${needs('signals')}`, async () => {
    const { child, exited } = await start({ CADZERO_BROKER_DRAIN_SECONDS: '300' })
    child.kill('SIGINT')
    expect(await exited).toEqual([0, null])
  })

  it('takes its secrets from files', async () => {
    const folder = await temporaryFolder()
    const sandbox = await newSandbox()
    const { CLERK_SECRET_KEY, CADZERO_BROKER_KEY, ...env } = await brokerEnv(sandbox)
    await writeFile(join(folder, 'clerk'), `${CLERK_SECRET_KEY}\n`)
    await writeFile(join(folder, 'key'), `${CADZERO_BROKER_KEY}\n`)
    const files = { CLERK_SECRET_KEY_FILE: join(folder, 'clerk'), CADZERO_BROKER_KEY_FILE: join(folder, 'key') }
    const { url } = await spawnBroker({ ...env, ...files })
    expect((await fetch(`${url}/livez`)).status).toBe(200)
  })

  it.runIf(process.platform === 'linux')(
    'serves although the disk of its log is full, and ends at SIGTERM (Linux)',
    async () => {
      const env = await brokerEnv(await newSandbox())
      const full = await open('/dev/full', 'w')
      onTestFinished(() => full.close())
      const child = spawn(process.execPath, [PROGRAM, 'broker'], {
        env,
        stdio: ['ignore', full.fd, 'pipe'],
      })
      onTestFinished(() => void child.kill('SIGKILL'))
      const [said] = await once(child.stderr as Readable, 'data') // its first line could not be printed, so that it listens by now
      expect(String(said)).toBe('error: the output cannot be written: ENOSPC\n')
      for (let request = 0; request < 3; request++) {
        const { status } = await fetch(`${env.CADZERO_BROKER_PUBLIC_URL}/api/auth/refresh`, {
          method: 'POST',
          body: '{}',
        })
        expect(status).toBe(415)
      }
      child.kill('SIGTERM')
      expect(await once(child, 'exit')).toEqual([1, null])
    },
  )

  it.each([
    ['PORT', 'a port that is in use', 'is in use'],
    ['METRICS_PORT', 'the port of the broker for its metrics', 'is in use'],
    ['HOST', 'an address of no interface', 'cannot be listened on (EADDRNOTAVAIL)'],
  ])('ends with exit code 2 and names %s if told %s', async (name, _, problem) => {
    const { CADZERO_BROKER_PORT: port, ...env } = await brokerEnv(await newSandbox())
    const taken = createServer().listen(name === 'PORT' ? Number(port) : 0, '127.0.0.1')
    onTestFinished(() => void taken.close())
    await once(taken, 'listening')
    const wrong = { METRICS_PORT: port, HOST: '192.0.2.1' }[name]
    const settings = { ...env, CADZERO_BROKER_PORT: port, ...(wrong ? { [`CADZERO_BROKER_${name}`]: wrong } : {}) }
    const { code, stderr } = await runProgram(['broker'], { home: await temporaryFolder(), env: settings })
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining(`error: CADZERO_BROKER_${name} ${problem}\nhint: set CADZERO_BROKER_${name} to `),
    })
  })

  it('logs a misspelt setting and a Redis that does not respond from the start, with what to do', async () => {
    const nowhere = createServer().listen(0, '127.0.0.1')
    await once(nowhere, 'listening')
    const { port } = nowhere.address() as AddressInfo
    nowhere.close()
    const { stdout } = await start({
      CADZERO_BROKER_AUDIANCE: 'x',
      CADZERO_BROKER_REDIS_URL: `redis://127.0.0.1:${port}`,
    })
    await expect.poll(stdout).toMatch(/"hint":"compare CADZERO_BROKER_REDIS_URL [^"]+","event":"redis_lost"/)
    expect(stdout()).toMatch(
      /"variable":"CADZERO_BROKER_AUDIANCE","hint":"compare the name [^"]+","event":"unknown_setting"/,
    )
  })

  it('prints a new key with --generate-key', async () => {
    const { stdout } = await runProgram(['broker', '--generate-key'], { home: await temporaryFolder() })
    expect(stdout).toMatch(/^[\w-]{43}\n$/)
  })
})
