// The built program in its own process, with a home folder of its own and none of this computer's settings.
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { systemFiles } from '../../src/host/files.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect, type RpcClient } from '../../src/rpc/client.ts'
import { temporaryFolder } from './folder.ts'
import { isWindows } from './posix.ts'

export const PROGRAM = fileURLToPath(new URL('../../dist/cadzero-auth.cjs', import.meta.url))

export interface ProgramOptions {
  readonly home: string
  /** The program to run instead of the built script, for example a single executable. */
  readonly program?: readonly [string, ...string[]]
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The environment of the program: only the settings of the test, and no key in a real keyring. */
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

/** Resolves when the process has ended and its output is complete. */
export async function endOf(child: ChildProcess & { stdout: Readable; stderr: Readable }): Promise<Ended> {
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [code] = await once(child, 'close')
  return { code: code as number | null, stdout, stderr }
}

const SCRIPT = [process.execPath, PROGRAM] as const

export interface RunningProgram {
  readonly child: ChildProcessWithoutNullStreams
  /** Resolves when the program has ended and its output is complete. */
  readonly ended: Promise<Ended>
  /** Resolves with the first group of the pattern once standard error matches it. */
  stderrMatch(pattern: RegExp): Promise<string>
}

/** Starts a command with an open standard input. */
export function spawnProgram(args: readonly string[], options: ProgramOptions): RunningProgram {
  const [file, ...first] = options.program ?? SCRIPT
  const child = spawn(file, [...first, ...args], { env: environment(options) })
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  return {
    child,
    ended: endOf(child),
    stderrMatch: (pattern) =>
      new Promise((resolve) => {
        const look = () => {
          const [, found] = pattern.exec(stderr) ?? []
          if (found !== undefined) resolve(found)
        }
        child.stderr.on('data', look)
        look()
      }),
  }
}

/** Runs a command to its end. */
export async function runProgram(args: readonly string[], options: ProgramOptions): Promise<Ended> {
  const { child, ended } = spawnProgram(args, options)
  child.stdin.end(options.input ?? '')
  return await ended
}

/** Stops a daemon that a command of the test has started in the background. */
export function stopDaemonAfterTest(options: ProgramOptions): void {
  onTestFinished(async () => {
    await runProgram(['daemon', '--stop'], options)
  })
}

export interface DaemonProcess {
  readonly child: ChildProcess
  readonly discoveryFile: string
  /** Its standard error so far. */
  stderr(): string
  connect(): Promise<RpcClient>
  /** By default it ends cleanly, on Windows by a call: a program cannot handle a signal there. Resolves with the exit code. */
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
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ready = once(child.stdout, 'data').then(() => true)
  // Not `exit`, which may come before the last error output.
  const closed = once(child, 'close').then(() => false)
  if (!(await Promise.race([ready, closed]))) throw new Error(`the daemon did not start: ${stderr}`)
  const discoveryFile = join(options.home, 'data', 'endpoint.json')
  return {
    child,
    discoveryFile,
    stderr: () => stderr,
    async connect() {
      const client = await connect(systemFiles, discoveryFile, systemRandom)
      onTestFinished(() => client.close())
      return client
    },
    async stop(signal) {
      if (isWindows && signal === undefined) {
        const client = await connect(systemFiles, discoveryFile, systemRandom)
        await client.call('shutdown')
        await client.closed
      } else child.kill(signal ?? 'SIGTERM')
      return await ended
    },
  }
}

export { temporaryFolder }
