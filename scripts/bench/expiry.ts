// Measures an expiry under load: a thousand callers at once cause one token request, and an idle daemon sends none.
import { setTimeout as wait } from 'node:timers/promises'
import type WebSocket from 'ws'
import { type Sandbox, startSandbox } from '../../test/sandbox/index.ts'
import { isNotification, REQUEST } from './load.ts'
import { discoveryFile, type ServerProcess, startBare, startDaemon } from './servers.ts'
import { signIn } from './sign-in.ts'
import { WrongAnswerError } from './table.ts'

const TOKEN_SECONDS = 2
const CONNECTIONS = 50
const CALLS = 20 // on each connection
export const PROVIDER_MS = 50 // long enough for all callers to ask while the one request is in flight
const TOKEN_PATH = '/oauth/token'

export interface Burst {
  /** Refreshes that the provider received. */
  readonly refreshes: number
  /** Milliseconds until the last caller had its answer. */
  readonly ms: number
  /** The same for a single caller, measured with the token before. */
  readonly singleMs: number
  /** The same for all callers of a bare server that gets its answer after `PROVIDER_MS`. */
  readonly bareMs: number
  /** Processor time in ms that the daemon took for the thousand, for one caller, and the bare server for the thousand. */
  readonly cpu: { readonly all: number; readonly single: number; readonly bare: number }
}

export interface Expiry {
  readonly bursts: readonly Burst[]
  /** Requests of any kind while no client called and the token was expired. */
  readonly idleRequests: number
}

export async function measureExpiry(
  program: string,
  home: string,
  rounds: number,
  idleSeconds: number,
): Promise<Expiry> {
  const sandbox = await startSandbox({ accessTokenTtl: TOKEN_SECONDS })
  const { issuer, clientId } = sandbox
  const daemon = await startDaemon({ program, home, issuer, clientId })
  try {
    await signIn(sandbox, discoveryFile(home))
    return await measure(sandbox, daemon, rounds, idleSeconds)
  } finally {
    await daemon.stop()
    await sandbox.close()
  }
}

async function measure(sandbox: Sandbox, daemon: ServerProcess, rounds: number, idleSeconds: number): Promise<Expiry> {
  const sockets = await connectAll(daemon)
  const one = sockets.slice(0, 1)
  const first = await askAll(one, 1) // the first refresh of a process pays for what is loaded late
  let { expiresAt } = first
  const bare = await startBare(first.text, process.execPath, PROVIDER_MS)
  const bareSockets = await connectAll(bare)
  const nextExpiry = async () => await wait(Math.max(0, expiresAt * 1000 - Date.now()) + 5)
  const bursts: Burst[] = []
  for (let i = 0; i < rounds; i++) {
    const ofBare = await timed(bare, () => askAll(bareSockets, CALLS))
    await nextExpiry()
    sandbox.script(TOKEN_PATH, { kind: 'delay', ms: PROVIDER_MS })
    const single = await timed(daemon, () => askAll(one, 1))
    expiresAt = single.expiresAt

    await nextExpiry()
    sandbox.script(TOKEN_PATH, { kind: 'delay', ms: PROVIDER_MS })
    const before = sandbox.count(TOKEN_PATH, 'refresh_token')
    const burst = await timed(daemon, () => askAll(sockets, CALLS))
    expiresAt = burst.expiresAt
    const refreshes = sandbox.count(TOKEN_PATH, 'refresh_token') - before
    const cpu = { all: burst.cpu, single: single.cpu, bare: ofBare.cpu }
    bursts.push({ refreshes, ms: burst.ms, singleMs: single.ms, bareMs: ofBare.ms, cpu })
  }
  await nextExpiry()
  const before = sandbox.requests.length
  await wait(idleSeconds * 1000) // connected all the while, as an add-in that does nothing
  const idleRequests = sandbox.requests.length - before
  for (const socket of [...sockets, ...bareSockets]) socket.terminate()
  await bare.stop()
  return { bursts, idleRequests }
}

async function connectAll(server: ServerProcess): Promise<WebSocket[]> {
  const sockets: WebSocket[] = []
  for (let i = 0; i < CONNECTIONS; i++) sockets.push(await server.connect())
  return sockets
}

/** Adds the processor time that the server took, in ms. */
async function timed<T>(server: ServerProcess, action: () => Promise<T>): Promise<T & { readonly cpu: number }> {
  const before = server.cpuSeconds() ?? Number.NaN
  const result = await action()
  return { ...result, cpu: ((server.cpuSeconds() ?? Number.NaN) - before) * 1000 }
}

interface Answered {
  /** Milliseconds until the last answer. */
  readonly ms: number
  readonly text: string
  readonly expiresAt: number
}

/** Sends so many calls on each socket at once, and waits until all are answered, with one and the same header. */
async function askAll(sockets: readonly WebSocket[], calls: number): Promise<Answered> {
  const start = performance.now()
  const texts = (await Promise.all(sockets.map((socket) => answersOf(socket, calls)))).flat()
  const ms = performance.now() - start
  if (new Set(texts).size !== 1) throw new WrongAnswerError('callers at one expiry were given different answers')
  const text = String(texts[0])
  const { result } = JSON.parse(text) as { result?: { expiresAt: number } }
  if (!result) throw new WrongAnswerError('a caller at an expiry was given an error')
  return { ms, text, expiresAt: result.expiresAt }
}

function answersOf(socket: WebSocket, calls: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const texts: string[] = []
    const onClose = () => reject(new Error('the connection was closed at an expiry'))
    const onMessage = (data: Buffer) => {
      if (isNotification(data)) return
      texts.push(String(data))
      if (texts.length < calls) return
      socket.off('message', onMessage)
      socket.off('close', onClose)
      resolve(texts)
    }
    socket.on('message', onMessage)
    socket.on('close', onClose)
    for (let i = 0; i < calls; i++) socket.send(REQUEST)
  })
}
