// Starts the real daemon in its own process, for scenarios that kill, starve and restart it; and signs in to it.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect, connectTo, type RpcClient } from '../../src/rpc/client.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import type { Sandbox } from '../../test/sandbox/index.ts'
import { keep } from '../bench/run-folder.ts'
import { discoveryFile } from './raw-client.ts'

export const TOKEN = '/oauth/token'
const START_TIMEOUT_MS = 30_000

const mounts: string[] = []
process.on('exit', () => {
  for (const folder of mounts.reverse()) spawnSync('umount', ['-l', folder], { stdio: 'ignore' })
})

/** Mounts a file system until the end of the run, or until the returned function is called. */
export function mount(folder: string, ...args: string[]): () => void {
  runMount(folder, ...args)
  mounts.push(folder)
  return () => {
    spawnSync('umount', ['-l', folder], { stdio: 'ignore' })
    mounts.splice(mounts.indexOf(folder), 1)
  }
}

/** Changes the options of a mount. */
export function remount(folder: string, options: string): void {
  runMount(folder, '-o', `remount,${options}`)
}

function runMount(folder: string, ...args: string[]): void {
  const { status, stderr } = spawnSync('mount', [...args, folder], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`mount: ${stderr.trim()}`)
}

export interface DaemonOptions {
  readonly program: string
  readonly home: string
  readonly env?: Readonly<Record<string, string>>
  /** A command that executes the daemon: `prlimit …`, `setpriv …`. */
  readonly before?: readonly string[]
  readonly args?: readonly string[]
}

export interface Daemon {
  readonly child: ChildProcess
  readonly pid: number
  readonly ended: Promise<number | null>
  /** Its standard error so far. */
  stderr(): string
  connect(): Promise<RpcClient>
  kill(): Promise<void>
  stop(): Promise<number | null>
  /** The number of its open file descriptors. */
  descriptors(): number
  residentMegabytes(): number
}

export function environmentOf(home: string, env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env
  const own = { CADZERO_AUTH_HOME: home, CADZERO_AUTH_KEY_PROTECTION: 'keyfile', CADZERO_AUTH_BROWSER: '/bin/true' }
  return { PATH, HOME, ...own, ...env }
}

/** Starts the daemon; resolves when it is ready. @throws an error with its standard error if it does not start */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { program, home, env, before = [], args = [] } = options
  const [file = '', ...rest] = [...before, process.execPath, program, 'daemon', ...args]
  const child = keep(spawn(file, rest, { env: environmentOf(home, env), stdio: ['ignore', 'pipe', 'pipe'] }))
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS)
  const ready = once(child.stdout, 'data').then(() => true)
  const isReady = await Promise.race([ready, once(child, 'close').then(() => false)])
  clearTimeout(timer)
  if (!isReady) throw new Error(`the daemon did not start: ${stderr}`)
  const pid = child.pid as number
  return {
    child,
    pid,
    ended,
    stderr: () => stderr,
    connect: () => connectToHome(home),
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
    async stop() {
      child.kill('SIGTERM')
      return await ended
    },
    descriptors: () => readdirSync(`/proc/${pid}/fd`).length,
    residentMegabytes() {
      const [, kilobytes = 'NaN'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
      return Number(kilobytes) / 1024
    },
  }
}

/** Connects as a client does. For the daemon of another user, reads the discovery file as root: the client rejects it. */
async function connectToHome(home: string): Promise<RpcClient> {
  const file = discoveryFile(home)
  try {
    return await connect(systemFiles, file, systemRandom)
  } catch (error) {
    if (!(error instanceof Error && error.name === 'FileError')) throw error
    return await connectTo(JSON.parse(readFileSync(file, 'utf8')) as Endpoint, systemRandom)
  }
}

export function sessionFile(home: string): string {
  return join(home, 'config', 'sessions', 'production.jwe')
}

export function settingsOf(sandbox: Sandbox): Record<string, string> {
  return { CADZERO_AUTH_ISSUER: sandbox.issuer, CADZERO_AUTH_CLIENT_ID: sandbox.clientId }
}

export async function signIn(client: RpcClient, sandbox: Sandbox): Promise<void> {
  const { authorizationUrl } = await client.call('login', { openBrowser: false, wait: false })
  const done = client.call('login', { openBrowser: false, timeoutSeconds: 30 })
  await sandbox.signIn(String(authorizationUrl))
  await done
}

/** The temporary files of interrupted writes. None may exist after a start. */
export function temporaries(home: string): string[] {
  return ['data', 'config', 'config/sessions'].flatMap((folder) =>
    readdirSync(join(home, folder))
      .filter((name) => name.endsWith('.tmp'))
      .map((name) => join(folder, name)),
  )
}
