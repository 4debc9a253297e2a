// The daemon that responds now, and the wait for the one that has just been started.
import { connect, NoDaemonError } from '../rpc/client.ts'
import type { Endpoint } from '../rpc/discovery.ts'
import type { Context } from './context.ts'

/** The endpoint of the daemon that responds, if one does. @throws FileError */
export async function runningDaemon({ host, folders }: Context): Promise<Endpoint | undefined> {
  try {
    const client = await connect(host.files, folders.discoveryFile, host.random)
    client.close()
    return client.endpoint
  } catch (error) {
    if (error instanceof NoDaemonError) return undefined
    throw error
  }
}

const START_SECONDS = 40 // a replaced daemon may take 20 s to end, and a keyring may ask the user for a password
const POLL_SECONDS = 0.1

/** Waits until a daemon responds that is the expected one. @returns undefined if none does in time @throws FileError */
export async function waitForDaemon(
  context: Context,
  isExpected: (daemon: Endpoint) => boolean,
): Promise<Endpoint | undefined> {
  const { clock } = context.host
  const deadline = clock.monotonic() + START_SECONDS
  for (;;) {
    const daemon = await runningDaemon(context)
    if (daemon && isExpected(daemon)) return daemon
    if (clock.monotonic() > deadline) return undefined
    await clock.wait(POLL_SECONDS)
  }
}
