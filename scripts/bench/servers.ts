// Starts both sides of the comparison, each in its own process: the built daemon and the bare `ws` server.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import WebSocket from 'ws'
import { systemFiles } from '../../src/host/files.ts'
import { randomText, systemRandom } from '../../src/host/random.ts'
import { type Endpoint, readEndpoint } from '../../src/rpc/discovery.ts'
import { authorization, mac, PROOF_HEADER, SUBPROTOCOL, sameMac } from '../../src/rpc/handshake.ts'
import { plainEnvironment } from '../plain-environment.ts'
import { cpuSecondsOf } from './cpu.ts'
import { keep } from './run-folder.ts'

export interface ServerProcess {
  /** Milliseconds from the spawn until the process reported on stdout that it listens. */
  readonly readyAfter: number
  connect(): Promise<WebSocket>
  /** CPU seconds used so far. Undefined on a system without /proc. */
  cpuSeconds(): number | undefined
  /** Resident memory in MB. Undefined on a system without /proc. */
  residentMegabytes(): number | undefined
  /** Memory in MB that no other process shares, such as the pages of Node.js itself. Undefined on a system without /proc. */
  privateMegabytes(): number | undefined
  readonly pid: number
  stop(): Promise<void>
}

export interface DaemonOptions {
  /** The path of the built cadzero-auth.cjs. */
  readonly program: string
  /** The path of a single executable to run instead. */
  readonly executable?: string
  readonly home: string
  readonly issuer: string
  readonly clientId: string
}

const BARE_SERVER = fileURLToPath(new URL('bare-server.mjs', import.meta.url))
const PROVING_SERVER = fileURLToPath(new URL('proving-server.mjs', import.meta.url))
const READY_MS = 10_000
const STOP_MS = 10_000
const OPTIONS = { perMessageDeflate: false, handshakeTimeout: 5000 }

/** Starts the daemon on its folder. Resolves once the discovery file is written. */
export async function startDaemon({
  program,
  executable,
  home,
  issuer,
  clientId,
}: DaemonOptions): Promise<ServerProcess> {
  const env = {
    ...plainEnvironment(),
    CADZERO_AUTH_HOME: home,
    CADZERO_AUTH_ISSUER: issuer,
    CADZERO_AUTH_CLIENT_ID: clientId,
    CADZERO_AUTH_KEY_PROTECTION: 'keyfile',
  }
  const spawnedAt = performance.now()
  const [file, ...first] = executable === undefined ? [process.execPath, program] : [executable]
  const child = keep(spawn(file, [...first, 'daemon'], { env, stdio: ['ignore', 'pipe', 'inherit'] }))
  const ready = await firstLine(child, (line) => line.startsWith('ready '))
  const readyAfter = performance.now() - spawnedAt
  const endpoint = await readEndpoint(systemFiles, ready.slice('ready '.length))
  if (!endpoint) throw new Error('the daemon reports that it is ready, but there is no discovery file')
  return { readyAfter, connect: () => connectToDaemon(endpoint), ...processOf(child) }
}

export function discoveryFile(home: string): string {
  return join(home, 'data', 'endpoint.json')
}

/**
 * @param answer the text of every answer; it is sent over stdin because it holds a token
 * @param delayMs if given, messages are answered together, so long after the first of them
 */
export async function startBare(answer: string, node = process.execPath, delayMs = 0): Promise<ServerProcess> {
  const spawnedAt = performance.now()
  const child = spawn(node, [BARE_SERVER, String(delayMs)], {
    env: plainEnvironment(),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  keep(child)
  child.stdin.write(`${answer}\n`)
  const port = await firstLine(child, (line) => /^\d+$/.test(line))
  const readyAfter = performance.now() - spawnedAt
  const connect = () => opened(new WebSocket(`ws://127.0.0.1:${port}/`, OPTIONS))
  return { readyAfter, connect, ...processOf(child) }
}

/** A server that proves itself as the daemon does, and does nothing else. @param answer the text of every answer */
export async function startProving(answer: string): Promise<ServerProcess> {
  const spawnedAt = performance.now()
  const secrets = { instance: randomText(systemRandom, 16), key: randomText(systemRandom, 32) }
  const child = keep(
    spawn(process.execPath, [PROVING_SERVER], { env: plainEnvironment(), stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  child.stdin.write(`${JSON.stringify(secrets)}\n${answer}\n`)
  const port = await firstLine(child, (line) => /^\d+$/.test(line))
  const unused = { version: 1, pid: Number(child.pid), startedAt: '', daemonVersion: '' } as const
  const endpoint: Endpoint = { endpoint: `127.0.0.1:${port}`, path: '/rpc', ...secrets, ...unused }
  return { readyAfter: performance.now() - spawnedAt, connect: () => connectToDaemon(endpoint), ...processOf(child) }
}

async function connectToDaemon(endpoint: Endpoint): Promise<WebSocket> {
  const { value, nonce } = authorization(endpoint, systemRandom)
  const socket = new WebSocket(`ws://${endpoint.endpoint}${endpoint.path}`, [SUBPROTOCOL], {
    ...OPTIONS,
    headers: { Authorization: value },
  })
  const expected = mac('server', endpoint, nonce)
  let genuine = false
  socket.once('upgrade', (response) => {
    const proof = response.headers[PROOF_HEADER.toLowerCase()]
    genuine = typeof proof === 'string' && sameMac(expected, proof)
  })
  await opened(socket)
  if (!genuine) throw new Error('not the genuine daemon')
  return socket
}

function opened(socket: WebSocket): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve(socket))
    socket.on('error', reject) // no effect after `open`: `close` follows
  })
}

function firstLine(child: ChildProcess, isWanted: (line: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const timer = setTimeout(() => reject(new Error('the process was not ready in time')), READY_MS)
    child.once('error', reject)
    child.once('exit', () => reject(new Error('the process ended before it was ready')))
    child.stdout?.on('data', (chunk) => {
      text += chunk
      const found = text.split('\n').slice(0, -1).find(isWanted)
      if (found === undefined) return
      clearTimeout(timer)
      resolve(found)
    })
  })
}

function processOf(child: ChildProcess): Omit<ServerProcess, 'readyAfter' | 'connect'> {
  return {
    cpuSeconds() {
      return cpuSecondsOf(child.pid ?? 0)
    },
    residentMegabytes() {
      const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(procFile(child, 'status') ?? '') ?? []
      return kilobytes === undefined ? undefined : Number(kilobytes) / 1024
    },
    privateMegabytes() {
      const parts = [...(procFile(child, 'smaps_rollup') ?? '').matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm)]
      return parts.length === 0 ? undefined : parts.reduce((sum, [, kilobytes]) => sum + Number(kilobytes), 0) / 1024
    },
    pid: child.pid ?? 0,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await ended
      clearTimeout(timer)
    },
  }
}

function procFile(child: ChildProcess, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${child.pid}/${name}`, 'utf8')
  } catch {
    return undefined
  }
}
