// An authenticator as the daemon composes it, with the sandbox's Clerk, a real disk, and a clock that the test moves.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { loadConfig } from '../../src/config/config.ts'
import { locateFolders } from '../../src/config/paths.ts'
import { authenticatorFactory } from '../../src/daemon/create-authenticator.ts'
import { systemFiles } from '../../src/host/files.ts'
import type { Host } from '../../src/host/host.ts'
import { type Fetch, limitedFetch } from '../../src/host/network.ts'
import { systemRandom } from '../../src/host/random.ts'
import type { Log } from '../../src/log/log.ts'
import { PromptRest } from '../../src/store/prompt-rest.ts'
import { TestClock } from './clock.ts'
import { temporaryFolder } from './folder.ts'
import { directNetwork } from './network.ts'

export async function newClerkAuthenticator(settings: Readonly<Record<string, string>>, config?: object) {
  const home = await temporaryFolder()
  const folders = locateFolders({ CADZERO_AUTH_HOME: home })
  for (const folder of [folders.config, folders.data, folders.sessions]) {
    await mkdir(folder, { recursive: true, mode: 0o700 })
  }
  if (config) await systemFiles.open(folders.configFile, 'w').then((file) => write(file, JSON.stringify(config)))
  const clock = new TestClock(Math.floor(Date.now() / 1000)) // the sandbox issues tokens by the real clock
  let onHeaders: () => void = () => undefined
  const fetchOnce: Fetch = async (url, init) => {
    const response = await fetch(url, init as RequestInit)
    onHeaders()
    return response
  }
  const host: Host = {
    name: 'computer',
    bootId: null,
    program: '/test/cadzero-auth',
    clock,
    random: systemRandom,
    files: systemFiles,
    fetch: limitedFetch(fetchOnce, clock),
    download: () => Promise.reject(new Error('no network here')),
    openBrowser: () => Promise.resolve(),
    network: directNetwork,
    socketOwner: () => Promise.resolve('own'),
    restrictFolder: () => Promise.resolve('own'),
  }
  const silent = () => undefined
  const log: Log = { debug: silent, info: silent, warn: silent, error: silent }
  const env = { ...settings, CADZERO_AUTH_KEY_PROTECTION: 'keyfile' }
  const loaded = await loadConfig(systemFiles, folders.configFile, env)
  const promptRest = new PromptRest(clock)
  const parts = { host, folders, log, env: {}, promptRest, passphrase: undefined, onChange: silent, onExpiring: silent }
  return {
    authenticator: authenticatorFactory(loaded, parts)(loaded.defaultProfile),
    clock,
    host,
    sessionFile: join(folders.sessions, 'production.jwe'),
    /** Resolves when the headers of the next response have arrived. */
    nextHeaders: () =>
      new Promise<void>((resolve) => {
        onHeaders = resolve
      }),
  }
}

async function write(file: Awaited<ReturnType<typeof systemFiles.open>>, text: string): Promise<void> {
  await file.writeFile(text)
  await file.close()
}
