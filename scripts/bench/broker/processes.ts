// The processes of the bench: the stand-in for Clerk, the bare server, copies of the broker, Redis and HAProxy.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { plainEnvironment } from '../../plain-environment.ts'
import { keep } from '../run-folder.ts'

export interface ServerProcess {
  readonly url: string
  readonly child: ChildProcess
  /** CPU seconds used so far. */
  cpuSeconds(): number
  residentMegabytes(): number
  sockets(): number
  stop(signal?: NodeJS.Signals): Promise<void>
}

const TICKS_PER_SECOND = 100 // in /proc: Linux shows user space no other number
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

export const startClerk = () => startServer(process.execPath, [here('clerk.mjs')])

export const startBare = (clerk: string) => startServer(process.execPath, [here('bare.mjs'), clerk])

export interface BrokerSetup {
  readonly program: string
  readonly key: Uint8Array
  readonly clerk: string
  readonly publicUrl: string
  readonly env?: Readonly<Record<string, string>>
}

/** A copy of the broker, with limits that only the bench of limits reaches. */
export async function startBroker({ program, key, clerk, publicUrl, env = {} }: BrokerSetup): Promise<ServerProcess> {
  return await startServer(process.execPath, [program, 'broker'], {
    CLERK_SECRET_KEY: 'sk_test_bench',
    CLERK_API_URL: clerk,
    CADZERO_BROKER_KEY: Buffer.from(key).toString('base64url'),
    CADZERO_BROKER_INSTANCES: clerk,
    CADZERO_BROKER_PUBLIC_URL: publicUrl,
    CADZERO_BROKER_AUTHORIZED_PARTIES: 'https://www.example.com',
    CADZERO_BROKER_PORT: '0',
    CADZERO_BROKER_CLERK_REQUESTS: '1000000',
    CADZERO_BROKER_DRAIN_SECONDS: '0',
    ...env,
  })
}

async function startServer(file: string, args: string[], env: Record<string, string> = {}): Promise<ServerProcess> {
  const child = keep(
    spawn(file, args, { env: { ...plainEnvironment(), ...env }, stdio: ['ignore', 'pipe', 'inherit'] }),
  )
  const url = await listening(child)
  return { url, child, ...measuresOf(child), stop: (signal) => stop(child, signal) }
}

export async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.once('exit', () => reject(new Error('a server ended before it listened')))
    child.stdout?.on('data', (chunk) => {
      if (text === undefined) return
      text = (text + chunk).slice(0, 4096)
      const [, url] = /listening on (\S+)/.exec(text) ?? []
      if (url !== undefined) resolve(url)
    })
  })
}

function measuresOf({ pid }: ChildProcess) {
  const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8')
  return {
    cpuSeconds() {
      // The second field, a name in brackets, may hold any character. utime and stime are the 14th and 15th field.
      const fields = read('stat').split(') ').pop()?.split(' ') ?? []
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
    },
    residentMegabytes() {
      const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(read('status')) ?? []
      return Number(kilobytes) / 1024
    },
    sockets() {
      return readdirSync(`/proc/${pid}/fd`).filter((fd) => isSocket(`/proc/${pid}/fd/${fd}`)).length
    },
  }
}

function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('socket:')
  } catch {
    return false // closed meanwhile
  }
}
