// What every command works with: the host, the folders, and the options that all commands share.
import { isSea } from 'node:sea'
import { type Folders, usableFolders } from '../config/paths.ts'
import { type Host, systemHost } from '../host/host.ts'

export interface CommonOptions {
  readonly profile?: string
  readonly json?: boolean
  /** False for `--no-start`. */
  readonly start?: boolean
}

export interface Context {
  readonly host: Host
  /** Located and checked at the first use: a command that needs no folder runs without a home folder. @throws EnvironmentError */
  readonly folders: Folders
}

/** A command. It resolves to false if it has failed and has printed why. */
export type Command = (context: Context) => Promise<unknown>

export function createContext(env: NodeJS.ProcessEnv): Context {
  let folders: Folders | undefined
  return {
    host: systemHost(env.CADZERO_AUTH_BROWSER || undefined, isSea() ? undefined : process.argv[1]),
    get folders() {
      folders ??= usableFolders(env)
      return folders
    },
  }
}

/** The params that name the profile, if the user named one. */
export function profileParams({ profile }: CommonOptions): { profile?: string } {
  return profile === undefined ? {} : { profile }
}
