// Injects faults into a running process with strace: at chosen system calls, the process is killed or the call fails.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { systemClock } from '../../src/host/clock.ts'
import { withTimeout } from '../../src/host/timeout.ts'
import { keep } from '../bench/run-folder.ts'

export interface FaultInjection {
  /** Detaches from the process. */
  stop(): Promise<void>
}

const ATTACH_SECONDS = 10

/**
 * Attaches to all threads of a process. strace counts the calls of each thread separately.
 * @param injections in the syntax of strace: `fsync:error=EIO`, `rename:signal=KILL:when=2`
 */
export async function injectFaults(pid: number, ...injections: string[]): Promise<FaultInjection> {
  const calls = injections.map((one) => one.split(':')[0]).join(',')
  const args = ['-f', '-p', String(pid), '-e', `trace=${calls}`, '-o', '/dev/null']
  for (const injection of injections) args.push('-e', `inject=${injection}`)
  const child = keep(spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] }))
  const ended = once(child, 'exit')
  let stderr = ''
  const notAttached = () => new Error(`strace did not attach: ${stderr}`)
  const attached = new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (chunk) => {
      stderr += chunk
      if (stderr.includes('attached')) resolve()
    })
    child.once('exit', () => reject(notAttached()))
  })
  await withTimeout(systemClock, ATTACH_SECONDS, attached, notAttached)
  return {
    async stop() {
      child.kill('SIGINT')
      await ended
    },
  }
}
