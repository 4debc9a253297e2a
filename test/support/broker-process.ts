// `cadzero-auth broker` as a process, with a sandbox as Clerk.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import type { Sandbox } from '../sandbox/index.ts'
import { newKey, PAGE_ORIGIN } from './broker.ts'
import { freePort } from './free-port.ts'
import { PROGRAM } from './program.ts'

export { PAGE_ORIGIN }

/** The environment of the command, at `CADZERO_BROKER_PUBLIC_URL`. */
export async function brokerEnv(
  sandbox: Pick<Sandbox, 'backend' | 'issuer'>,
  overrides: Readonly<Record<string, string>> = {},
) {
  const port = overrides.CADZERO_BROKER_PORT ?? String(await freePort())
  return {
    PATH: String(process.env.PATH),
    CLERK_SECRET_KEY: sandbox.backend.secretKey,
    CLERK_API_URL: sandbox.backend.url,
    CADZERO_BROKER_KEY: newKey().toString('base64url'),
    CADZERO_BROKER_INSTANCES: sandbox.issuer,
    CADZERO_BROKER_PUBLIC_URL: `http://127.0.0.1:${port}`,
    CADZERO_BROKER_AUTHORIZED_PARTIES: PAGE_ORIGIN,
    CADZERO_BROKER_PORT: port,
    CADZERO_BROKER_DRAIN_SECONDS: '0',
    CADZERO_BROKER_SESSION_TOKENS: 'unbound', // the requests of these tests have no proof
    ...overrides,
  }
}

/** Starts the command, and waits until it listens. */
export async function spawnBroker(env: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [PROGRAM, 'broker'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  const listening = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      stdout += chunk
      const [, url] = /listening on (\S+)/.exec(stdout) ?? []
      if (url !== undefined) resolve(url)
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    child.once('exit', () => reject(new Error(`the broker has ended: ${stderr}`)))
  })
  const exited = once(child, 'exit')
  return { child, url: await listening, exited, stdout: () => stdout, stderr: () => stderr }
}
