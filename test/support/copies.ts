// Three copies of the broker as processes, behind a real HAProxy, with a real Redis that they share.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { newBrokerClient, newKey, PAGE_ORIGIN } from './broker.ts'
import { brokerEnv, spawnBroker } from './broker-process.ts'
import { newDpopKey } from './dpop.ts'
import { temporaryFolder } from './folder.ts'
import { freePort } from './free-port.ts'
import { startRedis } from './redis.ts'
import { newSandbox } from './world.ts'

const CONFIG = fileURLToPath(new URL('../../examples/broker/haproxy.cfg', import.meta.url))

export async function startCopies(overrides: Readonly<Record<string, string>> = {}) {
  const [sandbox, redis, port] = [await newSandbox(), await startRedis(), await freePort()]
  const publicUrl = `http://127.0.0.1:${port}`
  const shared = {
    CADZERO_BROKER_KEY: newKey().toString('base64url'),
    CADZERO_BROKER_PUBLIC_URL: publicUrl,
    CADZERO_BROKER_REDIS_URL: redis.url,
    CADZERO_BROKER_TRUSTED_HOPS: '1',
    CADZERO_BROKER_CLERK_REQUESTS: '100000',
    CADZERO_BROKER_SESSION_TOKENS: 'bound',
    ...overrides,
  }
  const ports = [await freePort(), await freePort(), await freePort()]
  const startCopy = async (n: number) =>
    await spawnBroker(await brokerEnv(sandbox, { ...shared, CADZERO_BROKER_PORT: String(ports[n]) }))
  const copies = await Promise.all(ports.map((_, n) => startCopy(n)))
  await startProxy(port, ports)
  const ready = async () => (await fetch(`${publicUrl}/openapi.json`)).status
  await expect.poll(() => ready().catch(() => 0), { timeout: 15_000 }).toBe(200)
  /** A client of the daemon's kind, with a session of its own and its first refresh token. */
  const newClient = async () => {
    const client = newBrokerClient(
      async (request) =>
        await fetch(request.url, { method: request.method, headers: request.headers, body: await request.text() }),
      { publicUrl },
      newDpopKey(),
    )
    const sessionId = sandbox.backend.createSession({ userId: `user_2${sessionIds++}` })
    const token = await sandbox.backend.sessionToken(sessionId, { azp: PAGE_ORIGIN })
    const { body } = await client.exchange(sessionId, token)
    return { ...client, sessionId, refreshToken: body.refresh_token }
  }
  return { sandbox, redis, copies, startCopy, newClient, publicUrl }
}

let sessionIds = 0

/** The configuration of examples/broker, on this computer and without TLS. */
async function startProxy(port: number, ports: readonly number[]) {
  const config = readFileSync(CONFIG, 'utf8')
    .replace(/bind :8443 .*/, `bind 127.0.0.1:${port}`)
    .replaceAll(
      /(server broker-(\d)) \S+/g,
      (_, name: string, n: string) => `${name} 127.0.0.1:${ports[Number(n) - 1]}`,
    )
  const path = join(await temporaryFolder(), 'haproxy.cfg')
  await writeFile(path, config)
  const proxy = spawn('haproxy', ['-db', '-f', path], { stdio: 'ignore' })
  onTestFinished(async () => {
    if (proxy.exitCode !== null) return
    proxy.kill('SIGKILL')
    await once(proxy, 'exit')
  })
}
