// Reaches the daemon, and starts it in the background where none runs.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { homedir } from 'node:os'
import { isSea } from 'node:sea'
import type { Folders } from '../config/paths.ts'
import type { Clock } from '../host/clock.ts'
import type { Host } from '../host/host.ts'
import { connect, NoDaemonError, type RpcClient } from '../rpc/client.ts'
import { StartError } from './failure.ts'

/** @throws NoDaemonError, StartError, FileError */
export async function reachDaemon(host: Host, folders: Folders, mayStart: boolean): Promise<RpcClient> {
  try {
    return await connect(host.files, folders.discoveryFile, host.random)
  } catch (error) {
    if (!(error instanceof NoDaemonError) || !mayStart) throw error
  }
  await startInBackground(process.env, host.clock)
  return await connect(host.files, folders.discoveryFile, host.random)
}

// They would change what the daemon runs or whom it trusts; the last one is a secret, and goes through standard input.
const NOT_PASSED_ON = /^(NODE_.*|CADZERO_AUTH_PASSPHRASE)$/i

/** What a daemon that we start in the background finds around it. */
export function backgroundEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !NOT_PASSED_ON.test(name)))
}

const START_SECONDS = 30 // a start takes a tenth of one; a keyring that asks a person takes more

/** Resolves when the daemon says that it is ready. It then lives on by itself. @throws StartError */
async function startInBackground(env: NodeJS.ProcessEnv, clock: Clock): Promise<void> {
  // A single executable is the program itself.
  const program = isSea() ? [] : [String(process.argv[1])]
  const child = spawn(process.execPath, [...program, 'daemon', '--passphrase-stdin'], {
    cwd: homedir(),
    env: backgroundEnvironment(env),
    detached: true,
    windowsHide: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  child.stdin.on('error', () => undefined) // it may have ended already; its own words tell why
  child.stdin.end(env.CADZERO_AUTH_PASSPHRASE ?? '')
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  const ready = once(child.stdout, 'data').then(() => true)
  const ended = once(child, 'close').then(() => false)
  const late = new Promise<boolean>((resolve) => clock.after(START_SECONDS, () => resolve(false)))
  if (!(await Promise.race([ready, ended, late]))) {
    child.kill('SIGKILL') // what hangs at its start may not hear another signal, and has nothing to save
    throw new StartError(said.replace(/^error: /, '').trim() || 'it said nothing')
  }
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy()
  child.unref()
}
