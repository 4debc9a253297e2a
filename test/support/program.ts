// The real program in its own process: the built file, a folder of its own, and nothing of the machine's own settings.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect, type RpcClient } from '../../src/rpc/client.ts'
import { temporaryFolder } from './folder.ts'

export const PROGRAM = fileURLToPath(new URL('../../dist/cadzero-auth.cjs', import.meta.url))

export interface ProgramOptions {
  readonly home: string
  /** Another program than the built script: a single executable, say. */
  readonly program?: readonly [string, ...string[]]
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** What the program finds around it: no setting but those that the test gives, and no key in a real keyring. */
export function environment({ home, env = {} }: ProgramOptions): NodeJS.ProcessEnv {
  const { PATH, HOME, SYSTEMROOT } = process.env
  return {
    PATH,
    HOME,
    SYSTEMROOT,
    CADZERO_AUTH_HOME: home,
    CADZERO_AUTH_KEY_PROTECTION: 'keyfile',
    CADZERO_AUTH_BROWSER: '/bin/true',
    ...env,
  }
}

const SCRIPT = [process.execPath, PROGRAM] as const

/** Runs a command to its end. */
export async function runProgram(args: readonly string[], options: ProgramOptions): Promise<Ended> {
  const [file, ...first] = options.program ?? SCRIPT
  const child = spawn(file, [...first, ...args], { env: environment(options) })
  child.stdin.end(options.input ?? '')
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [code] = await once(child, 'close')
  return { code, stdout, stderr }
}

export interface DaemonProcess {
  readonly child: ChildProcess
  readonly discoveryFile: string
  /** Everything that it has said on standard error. */
  said(): string
  connect(): Promise<RpcClient>
  /** Ends it and waits for that. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

export async function startDaemonProcess(options: ProgramOptions, ...args: string[]): Promise<DaemonProcess> {
  const [file, ...first] = options.program ?? SCRIPT
  const child = spawn(file, [...first, 'daemon', ...args], {
    env: environment(options),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  const ready = once(child.stdout, 'data').then(() => true)
  // Not its exit: that may be seen before what it has said.
  const closed = once(child, 'close').then(() => false)
  if (!(await Promise.race([ready, closed]))) throw new Error(`the daemon did not start: ${said}`)
  const discoveryFile = join(options.home, 'data', 'endpoint.json')
  return {
    child,
    discoveryFile,
    said: () => said,
    async connect() {
      const client = await connect(systemFiles, discoveryFile, systemRandom)
      onTestFinished(() => client.close())
      return client
    },
    stop(signal = 'SIGTERM') {
      child.kill(signal)
      return ended
    },
  }
}

export { temporaryFolder }
