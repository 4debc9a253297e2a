// Runs programs as another user of this machine: needs root and setpriv on Linux.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

const AS_OTHER_USER = ['--reuid=65534', '--regid=65534', '--clear-groups']

export const canSwitchUser =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  spawnSync('setpriv', [...AS_OTHER_USER, 'true']).status === 0
export const whySkipped = canSwitchUser ? '' : ' (needs root and setpriv)'

/** Starts a Node.js script as another user, and ends it with the test. */
export function startAsOtherUser(script: string, ...args: string[]): ChildProcess {
  const child = spawn('setpriv', [...AS_OTHER_USER, process.execPath, '-e', script, ...args], {
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

/** Runs a Node.js script as another user; resolves with its output. */
export async function runAsOtherUser(script: string, ...args: string[]): Promise<string> {
  const child = startAsOtherUser(script, ...args)
  let output = ''
  child.stdout?.on('data', (chunk) => {
    output += chunk
  })
  await once(child, 'close')
  return output
}
