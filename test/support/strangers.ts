// Programs of another user on this machine, where the tests may start some: that takes root.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

const AS_NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups']

export const canBeNobody =
  process.platform === 'linux' && process.getuid?.() === 0 && spawnSync('setpriv', [...AS_NOBODY, 'true']).status === 0
export const whyNot = canBeNobody ? '' : ' (needs root and setpriv)'

/** Starts a script of Node's as nobody; ends with the test. */
export function startAsNobody(script: string, ...args: string[]): ChildProcess {
  const child = spawn('setpriv', [...AS_NOBODY, process.execPath, '-e', script, ...args], {
    cwd: '/',
    env: { PATH: process.env.PATH },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return child
}

/** Runs a script of Node's as nobody to its end; gives what it has printed. */
export async function runAsNobody(script: string, ...args: string[]): Promise<string> {
  const child = startAsNobody(script, ...args)
  let said = ''
  child.stdout?.on('data', (chunk) => {
    said += chunk
  })
  await once(child, 'close')
  return said
}
