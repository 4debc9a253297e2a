// Everything outside the process in one object: the only thing that tests replace.
import { hostname } from 'node:os'
import { bootId } from './boot-id.ts'
import { type OpenBrowser, systemBrowser } from './browser.ts'
import { type Clock, systemClock } from './clock.ts'
import { boundedDownload, type Download } from './download.ts'
import { type FileSystem, systemFiles } from './files.ts'
import { type Fetch, limitedFetch } from './network.ts'
import type { Network, NetworkSettings } from './network-view.ts'
import { type Random, systemRandom } from './random.ts'
import { systemRun } from './run.ts'
import { type FindSocketOwner, socketOwnerFinder } from './socket-owner.ts'
import type { SystemNetwork } from './system-network.ts'
import type { FolderAccess } from './windows-acl.ts'

export interface Host {
  /** The name of this computer in its network. */
  readonly name: string
  /** The id of this start of the system; null if the system does not tell. */
  readonly bootId: string | null
  /** The path of this program: the executable, or the script that Node runs. */
  readonly program: string
  readonly clock: Clock
  readonly random: Random
  readonly files: FileSystem
  readonly fetch: Fetch
  readonly download: Download
  readonly network: Network
  readonly openBrowser: OpenBrowser
  readonly socketOwner: FindSocketOwner
  /** Restricts a folder to the user if file modes cannot do that (Windows). @returns who has access now */
  readonly restrictFolder: (path: string) => Promise<FolderAccess>
}

/**
 * @param browser a program to open URLs with, instead of the system's browser
 * @param program the path of the script, if Node runs one
 */
export function systemHost(browser?: string, program = process.execPath): Host {
  const { fetch, ...network } = lazyNetwork(process.env)
  return {
    name: hostname(),
    bootId: bootId(),
    program,
    clock: systemClock,
    random: systemRandom,
    files: systemFiles,
    fetch: limitedFetch(fetch, systemClock),
    download: boundedDownload(fetch, systemClock),
    network,
    openBrowser: systemBrowser(systemClock, browser),
    socketOwner: socketOwnerFinder(),
    restrictFolder: async (path) =>
      process.platform === 'win32' ? (await import('./windows-acl.ts')).restrictFolder(path) : 'own',
  }
}

/** Nothing of the network is loaded, and no setting of the system is read, before the first connection. */
function lazyNetwork(env: NodeJS.ProcessEnv): Network & { readonly fetch: Fetch } {
  let settings: NetworkSettings = { proxy: 'auto', caFile: undefined }
  let loading: Promise<SystemNetwork> | undefined
  const load = async () => {
    const { SystemNetwork } = await import('./system-network.ts')
    const { platform } = process
    return new SystemNetwork({
      files: systemFiles,
      clock: systemClock,
      env,
      platform,
      run: systemRun(systemClock, env),
      settings,
    })
  }
  const loaded = () => {
    loading ??= load()
    return loading
  }
  return {
    configure: (given) => {
      settings = given
      loading = undefined
    },
    describe: async (url) => (await loaded()).describe(new URL(url)),
    fetch: async (url, init) => (await loaded()).fetch(url, init),
  }
}
