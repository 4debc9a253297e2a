// Runs the recipes of examples/broker, and checks the files for containers as far as no container is needed.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { newBrokerClient } from '../support/broker.ts'
import { brokerEnv, PAGE_ORIGIN, spawnBroker } from '../support/broker-process.ts'
import { newDpopKey } from '../support/dpop.ts'
import { temporaryFolder } from '../support/folder.ts'
import { freePort } from '../support/free-port.ts'
import { newSandbox } from '../support/world.ts'
import { ROOT } from './markdown.ts'
import { has } from './user.ts'

const FOLDER = join(ROOT, 'examples/broker')

/** Starts a server, and waits until it answers. */
async function startServer(file: string, args: readonly string[], env: Record<string, string>, url: string) {
  const child = spawn(file, args, { env, cwd: join(FOLDER, 'go'), stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
  const answers = async () => (child.exitCode === null ? (await fetch(url)).text() : `ended: ${said}`)
  await expect.poll(() => answers().catch(() => '')).toContain('the rest of the server')
}

/** Signs in, refreshes and signs out through the server at `url`. */
async function useBroker(url: string, sandbox: Awaited<ReturnType<typeof newSandbox>>) {
  const client = newBrokerClient(
    async (request) => {
      const { method, headers } = request
      const body = method === 'POST' ? { body: await request.text() } : {}
      return await fetch(request.url, { method, headers, ...body })
    },
    { publicUrl: url },
    newDpopKey(),
  )
  const sessionId = sandbox.backend.createSession()
  const token = await sandbox.backend.sessionToken(sessionId, { azp: PAGE_ORIGIN })
  const exchanged = await client.exchange(sessionId, token)
  expect(exchanged).toMatchObject({ status: 200, body: { session_id: sessionId } })
  const refreshed = await client.refresh(exchanged.body.refresh_token)
  expect(refreshed.status).toBe(200)
  expect(await client.refresh('made-up')).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
  expect(await client.logout(refreshed.body.refresh_token)).toMatchObject({ status: 200, body: { revoked: true } })
  const notJson = await fetch(`${url}/api/auth/refresh`, { method: 'POST', body: 'text' })
  expect(notJson.status).toBe(415)
}

describe.each(['node', 'express', 'fastify', 'hono'])('examples/broker/%s.mjs', (name) => {
  it('serves the broker beside the rest of the server', async () => {
    const sandbox = await newSandbox()
    const port = String(await freePort())
    const url = `http://127.0.0.1:${port}`
    const env = { ...(await brokerEnv(sandbox)), CADZERO_BROKER_PUBLIC_URL: url, PORT: port }
    await startServer(process.execPath, [join(FOLDER, `${name}.mjs`)], env, `${url}/`)
    await useBroker(url, sandbox)
  })
})

describe.skipIf(!has('go'))(`examples/broker/go${has('go') ? '' : ' (skipped: needs go)'}`, () => {
  it('passes the paths of the broker on', { timeout: 120_000 }, async () => {
    const sandbox = await newSandbox()
    const port = String(await freePort())
    const url = `http://127.0.0.1:${port}`
    const overrides = { CADZERO_BROKER_PUBLIC_URL: url, CADZERO_BROKER_TRUSTED_HOPS: '1' }
    const broker = await spawnBroker(await brokerEnv(sandbox, overrides))
    const program = join(await temporaryFolder(), 'backend')
    const built = spawnSync('go', ['build', '-o', program, '.'], { cwd: join(FOLDER, 'go') })
    expect(built.status, String(built.stderr)).toBe(0)
    await startServer(program, [], { BROKER_URL: broker.url, PORT: port }, `${url}/`)
    await useBroker(url, sandbox)
    expect(broker.stdout()).toContain('"address":"127.0.0.1"')
  })
})

const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8')

describe('the files for containers', () => {
  it.each(['compose.yaml', 'kubernetes.yaml', 'Containerfile'])(
    '%s sets only variables that the broker reads',
    (name) => {
      const known = ['settings.ts', 'environment.ts']
        .map((file) => readFileSync(join(ROOT, 'src/broker', file), 'utf8'))
        .join()
      const named = new Set(read(name).match(/\b(?:CADZERO_BROKER|CLERK)_[A-Z0-9_]+/g))
      expect(named.size).toBeGreaterThan(0)
      for (const variable of named) {
        if (variable === 'CADZERO_BROKER_DRAIN_SECONDS' && name === 'Containerfile') continue
        expect(known, variable).toContain(`'${variable.replace(/_FILE$/, '')}'`)
      }
    },
  )

  it('give a copy more time to end than it drains', () => {
    expect(read('kubernetes.yaml')).toContain('terminationGracePeriodSeconds: 20')
    expect(read('compose.yaml')).toContain('stop_grace_period: 20s')
  })

  it('keep the variables of Kubernetes’ own service links away from the broker', () => {
    // Its Service cadzero-broker would set CADZERO_BROKER_PORT=tcp://….
    expect(read('kubernetes.yaml')).toMatch(/enableServiceLinks: false\s+containers:\s+- name: broker/)
  })

  it.skipIf(!has('haproxy'))(
    `have a valid HAProxy configuration${has('haproxy') ? '' : ' (skipped: needs haproxy)'}`,
    async () => {
      const folder = await temporaryFolder()
      await mkdir(join(folder, 'secrets'))
      const certificate = join(folder, 'tls.pem')
      const made = spawnSync('openssl', [
        ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-days', '1'],
        ...['-keyout', `${certificate}.key`, '-out', certificate],
      ])
      expect(made.status).toBe(0)
      await writeFile(certificate, readFileSync(certificate, 'utf8') + readFileSync(`${certificate}.key`, 'utf8'))
      const config = read('haproxy.cfg')
        .replace('/run/secrets/tls.pem', certificate)
        .replaceAll(/(server \S+) broker-\d:/g, '$1 127.0.0.1:')
      await writeFile(join(folder, 'haproxy.cfg'), config)
      const checked = spawnSync('haproxy', ['-c', '-f', join(folder, 'haproxy.cfg')])
      expect(checked.status, String(checked.stderr)).toBe(0)
    },
  )
})
