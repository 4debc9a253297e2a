// Everything for one test: a sandbox, the real daemon in its own process, and a connected client.
import { onTestFinished } from 'vitest'
import type { RpcClient } from '../../src/rpc/client.ts'
import type { Result } from '../../src/rpc/contract.ts'
import { type Sandbox, type SandboxOptions, startSandbox } from '../sandbox/index.ts'
import { temporaryFolder } from './folder.ts'
import { type DaemonProcess, startDaemonProcess } from './program.ts'

export interface World {
  readonly sandbox: Sandbox
  readonly home: string
  readonly env: Readonly<Record<string, string>>
  readonly daemon: DaemonProcess
  readonly client: RpcClient
  /** Signs in as the user does, without a browser. */
  signIn(): Promise<Result<'login'>>
}

export async function newSandbox(options?: SandboxOptions): Promise<Sandbox> {
  const sandbox = await startSandbox(options)
  onTestFinished(() => sandbox.close())
  return sandbox
}

export function settingsOf(sandbox: Sandbox): Record<string, string> {
  return { CADZERO_AUTH_ISSUER: sandbox.issuer, CADZERO_AUTH_CLIENT_ID: sandbox.clientId }
}

export async function newWorld(options: SandboxOptions & { env?: Record<string, string> } = {}): Promise<World> {
  const { env: more, ...sandboxOptions } = options
  const sandbox = await newSandbox(sandboxOptions)
  const home = await temporaryFolder()
  const env = { ...settingsOf(sandbox), ...more }
  const daemon = await startDaemonProcess({ home, env })
  const client = await daemon.connect()
  return { sandbox, home, env, daemon, client, signIn: () => signIn(client, sandbox) }
}

export async function signIn(client: RpcClient, sandbox: Sandbox): Promise<Result<'login'>> {
  const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
  await sandbox.signIn(String(authorizationUrl))
  return await client.call('status')
}

/** Resolves with the next notified status that fits. */
export function nextStatus(client: RpcClient, fits: (status: Result<'status'>) => boolean): Promise<Result<'status'>> {
  return new Promise((resolve) => {
    client.onNotification((_method, params) => {
      const status = params as Result<'status'>
      if (fits(status)) resolve(status)
    })
  })
}

/** Waits until the wall clock has passed a Unix time in seconds, since a test cannot move the clock of another process. */
export async function waitUntil(time: number): Promise<void> {
  while (Date.now() / 1000 <= time) await new Promise((resolve) => setTimeout(resolve, time * 1000 - Date.now() + 5))
}
