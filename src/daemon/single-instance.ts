// One daemon per user: claims the lock, or finds the daemon that holds it, or takes over from that one.
import type { Folders } from '../config/paths.ts'
import { FileError } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { type Lock, takeLock } from '../host/lock.ts'
import { connect, NoDaemonError, type RpcClient } from '../rpc/client.ts'

export type Instance =
  | { readonly kind: 'first'; readonly lock: Lock }
  | { readonly kind: 'second'; readonly runningPid: number }

/** A process holds the lock, but no daemon responds. */
export class StuckDaemonError extends Error {
  constructor() {
    super('another daemon holds the lock but does not respond')
    this.name = 'StuckDaemonError'
  }
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
  for (;;) {
    const lock = await takeLock(host.files, folders.lockFile)
    if (lock) return { kind: 'first', lock }
    const running = askedToStop
      ? undefined
      : await connectIfRunning(host, folders).catch((error: unknown) => {
          // The file may be a leftover too, which the lock's holder is about to replace.
          if (!(error instanceof FileError)) throw error
          fileError = error
          return undefined
        })
    if (running && !replace) {
      running.close()
      return { kind: 'second', runningPid: running.endpoint.pid }
    }
    if (running) {
      await running.callAny('shutdown').catch(() => undefined) // it may close the connection before it responds
      askedToStop = true
      deadline = clock.monotonic() + STOP_SECONDS
    }
    if (clock.monotonic() > deadline) throw fileError ?? new StuckDaemonError()
    await clock.wait(POLL_SECONDS)
  }
}

/**
 * Ends the running daemon, and waits until it has ended.
 * @returns its process id
 * @throws NoDaemonError, StuckDaemonError, LockError, FileError, or a system error
 */
export async function endDaemon(host: Host, folders: Folders): Promise<number> {
  const client = await connect(host.files, folders.discoveryFile, host.random)
  await client.call('shutdown')
  await client.closed
  await waitForLock(host, folders)
  return client.endpoint.pid
}

/** @throws StuckDaemonError, LockError, or a system error */
async function waitForLock({ clock, files }: Host, folders: Folders): Promise<void> {
  const deadline = clock.monotonic() + STOP_SECONDS
  for (;;) {
    const lock = await takeLock(files, folders.lockFile)
    if (lock) return await lock.release()
    if (clock.monotonic() > deadline) throw new StuckDaemonError()
    await clock.wait(POLL_SECONDS)
  }
}

async function connectIfRunning(host: Host, folders: Folders): Promise<RpcClient | undefined> {
  try {
    return await connect(host.files, folders.discoveryFile, host.random)
  } catch (error) {
    // A crash has left the file behind, and another program may have its port by now. The lock's holder will replace it.
    if (error instanceof NoDaemonError) return undefined
    throw error
  }
}
