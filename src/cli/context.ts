// What every command works with: the world outside, our folders, and the options that all commands share.
import { type Folders, locateFolders } from '../config/paths.ts'
import { type Host, systemHost } from '../host/host.ts'
import type { RpcClient } from '../rpc/client.ts'
import { reachDaemon } from './daemon-connection.ts'

export interface CommonOptions {
  readonly profile?: string
  readonly json?: boolean
  /** False for `--no-start`. */
  readonly start?: boolean
}

export interface Context {
  readonly host: Host
  readonly folders: Folders
}

/** @throws ConfigurationError */
export function createContext(env: NodeJS.ProcessEnv): Context {
  return { host: systemHost(env.CADZERO_AUTH_BROWSER || undefined), folders: locateFolders(env) }
}

/** Does something with a connection to the daemon, and closes it. */
export async function withDaemon<T>(
  context: Context,
  options: CommonOptions,
  action: (client: RpcClient) => Promise<T>,
): Promise<T> {
  const client = await reachDaemon(context.host, context.folders, options.start !== false)
  try {
    return await action(client)
  } finally {
    client.close()
  }
}

/** The params that name the profile, if one was named. */
export function profileOf(options: CommonOptions): { profile?: string } {
  return options.profile === undefined ? {} : { profile: options.profile }
}
