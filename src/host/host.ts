// Everything outside the process in one object: the only thing that tests replace.
import { hostname } from 'node:os'
import { bootId } from './boot-id.ts'
import { type OpenBrowser, systemBrowser } from './browser.ts'
import { type Clock, systemClock } from './clock.ts'
import { type FileSystem, systemFiles } from './files.ts'
import { type Fetch, limitedFetch } from './network.ts'
import { type Random, systemRandom } from './random.ts'
import { type SocketOwnerCheck, socketOwnerCheck } from './socket-owner.ts'
import type { FolderAccess } from './windows-acl.ts'

export interface Host {
  /** The name of this computer in its network. */
  readonly name: string
  /** The id of this start of the system; null if the system does not tell. */
  readonly bootId: string | null
  readonly clock: Clock
  readonly random: Random
  readonly files: FileSystem
  readonly fetch: Fetch
  readonly openBrowser: OpenBrowser
  readonly isOtherUser: SocketOwnerCheck
  /** Restricts a folder to the user if file modes cannot do that (Windows). @returns who has access now */
  readonly restrictFolder: (path: string) => Promise<FolderAccess>
}

/** @param browser a program to open URLs with, instead of the system's browser */
export function systemHost(browser?: string): Host {
  return {
    name: hostname(),
    bootId: bootId(),
    clock: systemClock,
    random: systemRandom,
    files: systemFiles,
    // The global is read at the first call: Node loads its fetch lazily, which would make each start slower.
    fetch: limitedFetch((url, init) => fetch(url, init as RequestInit), systemClock),
    openBrowser: systemBrowser(systemClock, browser),
    isOtherUser: socketOwnerCheck(),
    restrictFolder: async (path) =>
      process.platform === 'win32' ? (await import('./windows-acl.ts')).restrictFolder(path) : 'own',
  }
}
