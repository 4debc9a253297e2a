// A profile that signs in by hand-off: the real daemon, the sandbox's Clerk, and the test in the role of the page.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RpcClient } from '../../src/rpc/client.ts'
import type { Sandbox, SandboxOptions } from '../sandbox/index.ts'
import { temporaryFolder } from './folder.ts'
import { type DaemonProcess, startDaemonProcess } from './program.ts'
import { newSandbox } from './world.ts'

export const PAGE = 'http://127.0.0.1:1/cadzero/auth-callback' // nothing listens there: the test plays the page

export interface HandoffSettings {
  readonly redirectPort?: number
  readonly requireState?: boolean
  readonly refresh?: boolean
  readonly brokerUrl?: string
  readonly authorizedParties?: readonly string[]
  readonly signInUrl?: string
  readonly tokenInCallback?: boolean
}

export interface HandoffWorld {
  readonly sandbox: Sandbox
  readonly home: string
  readonly daemon: DaemonProcess
  readonly client: RpcClient
  /** The user's session at Clerk. */
  readonly sessionId: string
  /** The parameters that the page sends with a token. */
  params(token: string): Record<string, string>
  /** Starts a sign-in; resolves with the callback URL that the page receives. */
  start(): Promise<URL>
  /** Stops the daemon, and resolves with the lines of its log file. */
  log(): Promise<Record<string, unknown>[]>
}

/** Writes the configuration of a hand-off profile. */
export async function configure(home: string, issuer: string, settings: HandoffSettings = {}): Promise<void> {
  const production = { issuer, signInUrl: PAGE, redirectPort: 0, ...settings }
  await mkdir(join(home, 'config'), { recursive: true, mode: 0o700 })
  await writeFile(join(home, 'config', 'config.json'), JSON.stringify({ profiles: { production } }))
}

/** @param given a sandbox that a broker of the test already uses */
export async function newHandoff(
  settings?: HandoffSettings,
  options?: SandboxOptions,
  given?: Sandbox,
): Promise<HandoffWorld> {
  const sandbox = given ?? (await newSandbox(options))
  const home = await temporaryFolder()
  await configure(home, sandbox.issuer, settings)
  const daemon = await startDaemonProcess({ home })
  const client = await daemon.connect()
  const sessionId = sandbox.backend.createSession()
  const { id, email, name } = sandbox.user
  return {
    sandbox,
    home,
    daemon,
    client,
    sessionId,
    params: (token) => ({ token, session_id: sessionId, user_id: id, user_email: email, user_name: name }),
    async start() {
      const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
      const url = new URL(String(authorizationUrl))
      return new URL(String(url.searchParams.get('redirect_url')))
    },
    async log() {
      await daemon.stop()
      const lines = (await readFile(join(home, 'log', 'daemon.log'), 'utf8')).trim().split('\n')
      return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    },
  }
}

/** Opens the callback URL as the page does, with these parameters added. */
export async function comeBack(callback: URL, params: Record<string, string> | [string, string][]) {
  const url = new URL(callback)
  const added = Array.isArray(params) ? params : Object.entries(params)
  for (const [name, value] of added) url.searchParams.append(name, value)
  const response = await fetch(url)
  const body = await response.text()
  return { status: response.status, finalUrl: new URL(response.url), title: /<title>([^<·]+) ·/.exec(body)?.[1], body }
}
