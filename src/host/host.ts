// Everything outside the process, in one object: what tests replace, and nothing else.
import { type OpenBrowser, systemBrowser } from './browser.ts'
import { type Clock, systemClock } from './clock.ts'
import { type FileSystem, systemFiles } from './files.ts'
import { type Fetch, limitedFetch } from './network.ts'
import { type Random, systemRandom } from './random.ts'
import { type SocketOwnerCheck, socketOwnerCheck } from './socket-owner.ts'
import type { Access } from './windows-acl.ts'

export interface Host {
  readonly clock: Clock
  readonly random: Random
  readonly files: FileSystem
  readonly fetch: Fetch
  readonly openBrowser: OpenBrowser
  readonly isOtherUser: SocketOwnerCheck
  /** Makes a folder the user's own where its mode does not say so (Windows), and tells whether it is. */
  readonly restrictFolder: (path: string) => Promise<Access>
}

/** @param browser a program to start with a URL in place of the system's browser. */
export function systemHost(browser?: string): Host {
  return {
    clock: systemClock,
    random: systemRandom,
    files: systemFiles,
    // The global is looked up at the first call: Node loads its fetch lazily, and a start should not pay for it.
    fetch: limitedFetch((url, init) => fetch(url, init as RequestInit), systemClock),
    openBrowser: systemBrowser(systemClock, browser),
    isOtherUser: socketOwnerCheck(),
    restrictFolder: async (path) =>
      process.platform === 'win32' ? (await import('./windows-acl.ts')).restrictFolder(path) : 'own',
  }
}
