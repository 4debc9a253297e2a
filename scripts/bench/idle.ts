// Counts what an idle daemon costs: wake-ups of its main thread, and processor time. Linux only.
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import type { Sandbox } from '../../test/sandbox/index.ts'
import { cpuSecondsOf } from './cpu.ts'
import { ask } from './load.ts'
import { discoveryFile, startDaemon } from './servers.ts'
import { signIn } from './sign-in.ts'

const SETTLE_SECONDS = 70 // until then V8 gives memory back, and the first look at the discovery file reads it

export interface Idle {
  /** Wake-ups of the main thread in a minute. */
  readonly wakeUps: number
  /** Seconds of processor time in a day, of all threads. */
  readonly cpuSecondsADay: number
  readonly privateMegabytes: number
}

export interface IdleOptions {
  readonly sandbox: Sandbox
  readonly program: string
  readonly home: string
  readonly seconds: number
  /** Whether a client is connected, which does nothing. */
  readonly connected: boolean
}

/** Measures a daemon that was started with a session. Undefined on a system without /proc. */
export async function measureIdle({
  sandbox,
  program,
  home,
  seconds,
  connected,
}: IdleOptions): Promise<Idle | undefined> {
  const options = { program, home, issuer: sandbox.issuer, clientId: sandbox.clientId }
  const first = await startDaemon(options)
  await signIn(sandbox, discoveryFile(home))
  await first.stop()
  const daemon = await startDaemon(options)
  const socket = connected ? await daemon.connect() : undefined
  if (socket) await ask(socket)
  await wait(SETTLE_SECONDS * 1000)
  const before = usageOf(daemon.pid)
  await wait(seconds * 1000)
  const after = usageOf(daemon.pid)
  const privateMegabytes = daemon.privateMegabytes()
  socket?.terminate()
  await daemon.stop()
  if (!before || !after || privateMegabytes === undefined) return undefined
  return {
    wakeUps: ((after.wakeUps - before.wakeUps) * 60) / seconds,
    cpuSecondsADay: ((after.cpu - before.cpu) * 86_400) / seconds,
    privateMegabytes,
  }
}

function usageOf(pid: number): { readonly wakeUps: number; readonly cpu: number } | undefined {
  try {
    const cpu = cpuSecondsOf(pid)
    const [, wakeUps] = /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return cpu === undefined ? undefined : { wakeUps: Number(wakeUps), cpu }
  } catch {
    return undefined
  }
}
