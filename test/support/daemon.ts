// A daemon in the test's own process, in a temporary folder.
import { onTestFinished } from 'vitest'
import { type Folders, locateFolders } from '../../src/config/paths.ts'
import { type Daemon, startDaemon } from '../../src/daemon/daemon.ts'
import { type Host, systemHost } from '../../src/host/host.ts'
import { temporaryFolder } from './folder.ts'

export interface LocalDaemon {
  readonly host: Host
  readonly folders: Folders
  readonly daemon: Daemon
}

/** @param change replaces parts of the real host */
export async function startLocalDaemon(folders?: Folders, change: Partial<Host> = {}): Promise<LocalDaemon> {
  const host = { ...systemHost(), ...change }
  const where = folders ?? locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
  const env = { CADZERO_AUTH_KEY_PROTECTION: 'keyfile' }
  const options = { host, folders: where, env, version: '1.0.0', commit: null, replace: false, passphrase: undefined }
  const started = await startDaemon(options)
  if (started.kind !== 'running') throw new Error(started.kind)
  onTestFinished(() => started.daemon.stop('test'))
  return { host, folders: where, daemon: started.daemon }
}
