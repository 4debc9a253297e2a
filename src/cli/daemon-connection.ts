// Connects a command to the daemon, and starts the daemon in the background if none runs.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { isSea } from 'node:sea'
import { endDaemon, explainNoDaemon, StuckDaemonError } from '../daemon/single-instance.ts'
import type { Clock } from '../host/clock.ts'
import { workingFolder } from '../host/home.ts'
import { withTimeout } from '../host/timeout.ts'
import { connect, NoDaemonError, type RpcClient } from '../rpc/client.ts'
import { RpcError } from '../rpc/contract.ts'
import type { CommonOptions, Context } from './context.ts'
import { StartError } from './failure.ts'

/** Connects to the daemon, runs the action and closes the connection. @throws as `connectToDaemon` and the action do */
export async function withDaemon<T>(
  context: Context,
  options: CommonOptions,
  action: (client: RpcClient) => Promise<T>,
): Promise<T> {
  const client = await connectToDaemon(context, options.start !== false)
  try {
    return await action(client)
  } catch (error) {
    throw withProfile(error, options.profile)
  } finally {
    client.close()
  }
}

/** The error with the profile of the command, so that its hint names the profile too. */
function withProfile(error: unknown, profile: string | undefined): unknown {
  if (!(error instanceof RpcError) || profile === undefined) return error
  return new RpcError(error.code, error.message, { profile, ...error.data })
}

/**
 * @param mayStart whether to start a daemon if none runs
 * @throws NoDaemonError, or what explains it: StuckDaemonError, LockError; StartError, FileError
 */
export async function connectToDaemon(context: Context, mayStart: boolean): Promise<RpcClient> {
  const { host, folders } = context
  try {
    return await connect(host.files, folders.discoveryFile, host.random)
  } catch (error) {
    if (!(error instanceof NoDaemonError)) throw error
    if (!mayStart) throw await explainNoDaemon(error, host, folders)
    if (error.reason === 'no_answer') await throwIfStuck(error, context) // another daemon would wait for it as well
  }
  await startInBackground(process.env, host.clock)
  try {
    return await connect(host.files, folders.discoveryFile, host.random)
  } catch (error) {
    throw error instanceof NoDaemonError ? await explainNoDaemon(error, host, folders) : error
  }
}

/** @throws StuckDaemonError if a daemon runs that hangs; otherwise another program has its port */
async function throwIfStuck(error: NoDaemonError, { host, folders }: Context): Promise<void> {
  const cause = await explainNoDaemon(error, host, folders)
  if (cause instanceof StuckDaemonError) throw cause
}

/**
 * Starts a daemon and ends it again, to find out why that may fail.
 * @throws StartError; StuckDaemonError or NoDaemonError if it runs and cannot be reached
 */
export async function tryToStart({ host, folders }: Context): Promise<void> {
  const child = await startInBackground(process.env, host.clock)
  try {
    await endDaemon(host, folders)
  } catch (error) {
    const cause = error instanceof NoDaemonError ? await explainNoDaemon(error, host, folders) : error
    child.kill()
    throw cause
  }
}

// NODE_* would change what the daemon runs, or turn TLS off. NODE_EXTRA_CA_CERTS only adds authorities, as the system's store
// does, and stays: a daemon in the background must reach what one in the foreground reaches. The passphrase is a secret: it goes
// through standard input.
const NOT_INHERITED = /^(NODE_(?!EXTRA_CA_CERTS$).*|CADZERO_AUTH_PASSPHRASE)$/i

/** The environment of a daemon that a command starts in the background. */
export function backgroundEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !NOT_INHERITED.test(name)))
}

const START_SECONDS = 30 // a start takes 0.1 s; a keyring that asks the user for a password takes longer

/**
 * Resolves when the daemon is ready. The daemon then outlives this process.
 * @param options further options of `daemon`
 * @throws StartError
 */
export async function startInBackground(
  env: NodeJS.ProcessEnv,
  clock: Clock,
  ...options: readonly '--replace'[]
): Promise<ChildProcess> {
  // A single executable is itself the program; Node needs the script.
  const program = isSea() ? [] : [String(process.argv[1])]
  const child = spawn(process.execPath, [...program, 'daemon', '--passphrase-stdin', ...options], {
    cwd: workingFolder(env),
    env: backgroundEnvironment(env),
    detached: true,
    windowsHide: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  child.stdin.on('error', () => undefined) // the daemon may have ended already; its error output says why
  child.stdin.end(env.CADZERO_AUTH_PASSPHRASE ?? '')
  let output = ''
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  const ready = once(child.stdout, 'data').then(() => true)
  let ending = 'is not ready yet'
  const ended = once(child, 'close').then(([code, signal]) => {
    ending = signal ? `was ended by ${signal}` : `ended with code ${code}`
    return false
  })
  const timeout = () => new Error('the daemon did not get ready')
  const isReady = await withTimeout(clock, START_SECONDS, Promise.race([ready, ended]), timeout).catch(() => false)
  if (!isReady) {
    child.kill('SIGKILL') // a daemon that hangs during its start may ignore other signals, and has nothing to save
    throw new StartError(ending, output.replace(/^error: /, '').trim())
  }
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy()
  child.unref()
  return child
}
