// What every command works with: the host, the folders, and the options that all commands share.
import { type Folders, locateFolders } from '../config/paths.ts'
import { type Host, systemHost } from '../host/host.ts'

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

/** A command. It resolves to false if it has failed and has printed why. */
export type Command = (context: Context) => Promise<unknown>

/** @throws ConfigurationError */
export function createContext(env: NodeJS.ProcessEnv): Context {
  return { host: systemHost(env.CADZERO_AUTH_BROWSER || undefined), folders: locateFolders(env) }
}

/** The params that name the profile, if the user named one. */
export function profileParams({ profile }: CommonOptions): { profile?: string } {
  return profile === undefined ? {} : { profile }
}
