// strace as a saboteur of a process that runs: at chosen system calls it kills the process or fails the call.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { keep } from './daemon.ts'

export interface Saboteur {
  /** Lets the process go on undisturbed. */
  leave(): Promise<void>
}

const ATTACH_MS = 10_000

/**
 * Attaches to all threads of a process. A call is counted a thread.
 * @param injection as strace has it: `fsync:error=EIO`, `rename:signal=KILL:when=2`
 */
export async function sabotage(pid: number, ...injections: string[]): Promise<Saboteur> {
  const calls = injections.map((one) => one.split(':')[0]).join(',')
  const args = ['-f', '-p', String(pid), '-e', `trace=${calls}`, '-o', '/dev/null']
  for (const injection of injections) args.push('-e', `inject=${injection}`)
  const child = keep(spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] }))
  const ended = once(child, 'exit')
  await new Promise<void>((resolve, reject) => {
    let said = ''
    const late = setTimeout(() => reject(new Error(`strace did not attach: ${said}`)), ATTACH_MS)
    child.stderr.on('data', (chunk) => {
      said += chunk
      if (!said.includes('attached')) return
      clearTimeout(late)
      resolve()
    })
    child.once('exit', () => {
      clearTimeout(late)
      reject(new Error(`strace did not attach: ${said}`))
    })
  })
  return {
    async leave() {
      child.kill('SIGINT')
      await ended
    },
  }
}
