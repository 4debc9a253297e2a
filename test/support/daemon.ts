// A daemon in the test's own process, in a temporary folder, on a clock that the test may move.
import { onTestFinished } from 'vitest'
import { type Folders, locateFolders } from '../../src/config/paths.ts'
import { type Daemon, startDaemon } from '../../src/daemon/daemon.ts'
import { type Host, systemHost } from '../../src/host/host.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connect, type RpcClient } from '../../src/rpc/client.ts'
import type { SandboxOptions } from '../sandbox/index.ts'
import { TestClock } from './clock.ts'
import { temporaryFolder } from './folder.ts'
import { newSandbox, settingsOf, signIn } from './world.ts'

export interface LocalDaemon {
  readonly host: Host
  readonly folders: Folders
  readonly daemon: Daemon
  connect(): Promise<RpcClient>
}

export interface LocalDaemonOptions {
  readonly folders?: Folders
  /** Replaces parts of the real host. */
  readonly host?: Partial<Host>
  readonly env?: Readonly<Record<string, string>>
}

export async function startLocalDaemon(options: LocalDaemonOptions = {}): Promise<LocalDaemon> {
  const host = { ...systemHost(), ...options.host }
  const folders = options.folders ?? locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
  const env = { CADZERO_AUTH_KEY_PROTECTION: 'keyfile', ...options.env }
  const started = await startDaemon({
    ...{ host, folders, env, version: '1.0.0', commit: null },
    ...{ replace: false, passphrase: undefined },
  })
  if (started.kind !== 'running') throw new Error(started.kind)
  onTestFinished(() => started.daemon.stop('test'))
  return {
    host,
    folders,
    daemon: started.daemon,
    async connect() {
      const client = await connect(host.files, folders.discoveryFile, systemRandom)
      onTestFinished(() => client.close())
      return client
    },
  }
}

/** A sandbox, and a daemon whose tokens expire only when the test advances the clock, however busy the machine is. */
export async function newLocalWorld(options?: SandboxOptions) {
  const sandbox = await newSandbox(options)
  const clock = new TestClock(Date.now() / 1000)
  const local = await startLocalDaemon({ host: { clock }, env: settingsOf(sandbox) })
  const client = await local.connect()
  return { ...local, sandbox, clock, client, signIn: () => signIn(client, sandbox) }
}
