// One daemon a user: takes the lock, or finds the genuine daemon that holds it, or takes over from it.

import type { Folders } from '../config/paths.ts'
import { FileError } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { type Lock, takeLock } from '../host/lock.ts'
import { connect, NoDaemonError, type RpcClient } from '../rpc/client.ts'

export type Instance =
  | { readonly kind: 'first'; readonly lock: Lock }
  | { readonly kind: 'second'; readonly runningPid: number }

/** Something holds the lock, but no genuine daemon answers. */
export class StuckDaemonError extends Error {
  constructor() {
    super('another daemon holds the lock, but does not answer')
    this.name = 'StuckDaemonError'
  }
}

const LOOK_SECONDS = 0.025
const START_SECONDS = 5 // another one that is starting writes its discovery file well within this
const STOP_SECONDS = 20 // it may be finishing calls (5 s) and a refresh (10 s)

/**
 * @param replace whether to end a daemon that runs
 * @throws StuckDaemonError, LockError, FileError where the discovery file stays another's, or a system error
 */
export async function becomeInstance(host: Host, folders: Folders, replace: boolean): Promise<Instance> {
  const { clock } = host
  let deadline = clock.monotonic() + START_SECONDS
  let asked = false
  let refused: FileError | undefined
  for (;;) {
    const lock = await takeLock(host.files, folders.lockFile)
    if (lock) return { kind: 'first', lock }
    const running = asked
      ? undefined
      : await connectIfThere(host, folders).catch((error: unknown) => {
          // Left behind as well, until the lock's holder has written its own over it.
          if (!(error instanceof FileError)) throw error
          refused = error
          return undefined
        })
    if (running && !replace) {
      running.close()
      return { kind: 'second', runningPid: running.endpoint.pid }
    }
    if (running) {
      await running.callAny('shutdown').catch(() => undefined) // it may close before it answers
      asked = true
      deadline = clock.monotonic() + STOP_SECONDS
    }
    if (clock.monotonic() > deadline) throw refused ?? new StuckDaemonError()
    await clock.wait(LOOK_SECONDS)
  }
}

/**
 * Waits until a daemon that was asked to end has ended.
 * @throws StuckDaemonError, LockError
 */
export async function waitForEnd({ clock, files }: Host, folders: Folders): Promise<void> {
  const deadline = clock.monotonic() + STOP_SECONDS
  for (;;) {
    const lock = await takeLock(files, folders.lockFile)
    if (lock) return await lock.release()
    if (clock.monotonic() > deadline) throw new StuckDaemonError()
    await clock.wait(LOOK_SECONDS)
  }
}

async function connectIfThere(host: Host, folders: Folders): Promise<RpcClient | undefined> {
  try {
    return await connect(host.files, folders.discoveryFile, host.random)
  } catch (error) {
    // A file that a crash has left behind, whoever has its port now; the lock's holder is about to write a new one.
    if (error instanceof NoDaemonError) return undefined
    throw error
  }
}
