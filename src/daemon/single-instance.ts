// One daemon per user: claims the lock, or finds the daemon that holds it, or takes over from that one.
import type { Folders } from '../config/paths.ts'
import { FileError } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { type Lock, LockError, takeLock } from '../host/lock.ts'
import { hasOtherLoopback } from '../host/network-namespace.ts'
import { isRunning } from '../host/process-id.ts'
import { connect, NoDaemonError, type RpcClient } from '../rpc/client.ts'

export type Instance =
  | { readonly kind: 'first'; readonly lock: Lock }
  | { readonly kind: 'second'; readonly runningPid: number }

/** Why no daemon responds although a process holds the lock. */
export type StuckReason =
  /** The daemon runs on another computer that uses the same folders. */
  | { readonly kind: 'other_host'; readonly host: string }
  /** The daemon runs on this computer, but its 127.0.0.1 is another one. */
  | { readonly kind: 'other_network'; readonly pid: number; readonly host: string }
  /** A daemon has published its address, but connections to it are refused or dropped. */
  | { readonly kind: 'unreachable'; readonly pid: number }
  /** The daemon accepts connections, and does not answer: it hangs, or is stopped. */
  | { readonly kind: 'hanging'; readonly pid: number }
  | { readonly kind: 'silent' }

const SILENT: StuckReason = { kind: 'silent' }

/** A process holds the lock, but no daemon responds. */
export class StuckDaemonError extends Error {
  constructor(readonly reason: StuckReason) {
    super(MESSAGES[reason.kind](reason as never))
    this.name = 'StuckDaemonError'
  }
}

const MESSAGES: { readonly [K in StuckReason['kind']]: (reason: Extract<StuckReason, { kind: K }>) => string } = {
  other_host: ({ host }) => `the daemon runs on the computer ${host}, which uses the same folders`,
  other_network: ({ pid, host }) =>
    `the daemon (process ${pid} on ${host}) runs in another network namespace, such as that of a container`,
  unreachable: ({ pid }) => `the daemon (process ${pid}) runs, but connections to it are refused or dropped`,
  hanging: ({ pid }) => `the daemon (process ${pid}) runs, but does not respond`,
  silent: () => 'another daemon holds the lock but does not respond',
}

const POLL_SECONDS = 0.025
const START_SECONDS = 5 // a daemon that is starting writes its discovery file well within this time
const STOP_SECONDS = 20 // a daemon may first finish its calls (5 s) and a refresh (10 s)

/**
 * @param replace whether to end a running daemon and take its place
 * @throws StuckDaemonError, LockError, a system error, or FileError if the discovery file is not private and stays so
 */
export async function claimInstance(host: Host, folders: Folders, replace: boolean): Promise<Instance> {
  const { clock } = host
  let deadline = clock.monotonic() + START_SECONDS
  let askedToStop = false
  let fileError: FileError | undefined
  let stuck = SILENT
  for (;;) {
    const lock = await takeLock(host.files, folders.lockFile)
    if (lock) return { kind: 'first', lock }
    const running = askedToStop
      ? undefined
      : await connectIfRunning(host, folders).catch((error: unknown) => {
          // The file may be a leftover, which the lock's holder is about to replace.
          if (error instanceof FileError) fileError = error
          else if (error instanceof NoDaemonError) stuck = stuckReason(error, host)
          else throw error
          return undefined
        })
    // Waiting here changes nothing there.
    if (stuck.kind === 'other_host' || stuck.kind === 'other_network') throw new StuckDaemonError(stuck)
    if (running && !replace) {
      running.close()
      return { kind: 'second', runningPid: running.endpoint.pid }
    }
    if (running) {
      await running.callAny('shutdown').catch(() => undefined) // it may close the connection before it responds
      askedToStop = true
      deadline = clock.monotonic() + STOP_SECONDS
    }
    if (clock.monotonic() > deadline) throw fileError ?? new StuckDaemonError(stuck)
    await clock.wait(POLL_SECONDS)
  }
}

export interface EndedDaemon {
  readonly pid: number
  /** The profiles whose session was in memory only just before. Empty if a daemon of an earlier version has ended. */
  readonly unsaved: readonly string[]
}

/**
 * Ends the running daemon, and waits until it has ended.
 * @throws NoDaemonError, StuckDaemonError, LockError, FileError, or a system error
 */
export async function endDaemon(host: Host, folders: Folders): Promise<EndedDaemon> {
  const client = await connect(host.files, folders.discoveryFile, host.random)
  const { unsaved = [] } = await client.call('shutdown')
  await client.closed
  await waitForLock(host, folders)
  return { pid: client.endpoint.pid, unsaved }
}

/**
 * Says more about a daemon that cannot be reached.
 * @returns StuckDaemonError if a process holds the lock, LockError if the lock file cannot be locked, or `error` itself
 */
export async function explainNoDaemon(error: NoDaemonError, host: Host, folders: Folders): Promise<Error> {
  try {
    const lock = await takeLock(host.files, folders.lockFile)
    await lock?.release()
    return lock ? error : new StuckDaemonError(stuckReason(error, host))
  } catch (lockError) {
    return lockError instanceof LockError ? lockError : error // without its folder there is no daemon
  }
}

/** @throws StuckDaemonError, LockError, or a system error */
async function waitForLock({ clock, files }: Host, folders: Folders): Promise<void> {
  const deadline = clock.monotonic() + STOP_SECONDS
  for (;;) {
    const lock = await takeLock(files, folders.lockFile)
    if (lock) return await lock.release()
    if (clock.monotonic() > deadline) throw new StuckDaemonError(SILENT)
    await clock.wait(POLL_SECONDS)
  }
}

/** Undefined if no daemon has published its address. @throws NoDaemonError if one has, but cannot be reached; FileError */
async function connectIfRunning(host: Host, folders: Folders): Promise<RpcClient | undefined> {
  try {
    return await connect(host.files, folders.discoveryFile, host.random)
  } catch (error) {
    if (error instanceof NoDaemonError && error.endpoint === undefined) return undefined
    throw error
  }
}

/** A crash may have left the file behind: then it says nothing about the process that holds the lock now. */
function stuckReason({ reason, endpoint }: NoDaemonError, { name, bootId }: Host): StuckReason {
  // Another program may have that port here: what it says is not asked.
  if (endpoint?.host !== undefined && endpoint.host !== name) return { kind: 'other_host', host: endpoint.host }
  if (!endpoint || reason === 'not_genuine') return { kind: 'silent' }
  const isOfThisStart = endpoint.bootId === undefined || endpoint.bootId === null || endpoint.bootId === bootId
  const { pid } = endpoint
  if (!isOfThisStart || !isRunning(pid)) return SILENT
  if (hasOtherLoopback(pid)) return { kind: 'other_network', pid, host: name }
  return reason === 'no_answer' ? { kind: 'hanging', pid } : { kind: 'unreachable', pid }
}
