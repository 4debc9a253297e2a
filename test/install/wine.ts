// A Windows of its own for one test: a prefix of Wine 10, whose programs start with the log-on.
import { once } from 'node:events'
import { mkdir, open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { inDebian13 } from '../../scripts/trials/debian13.ts'
import { systemRandom } from '../../src/host/random.ts'
import { connectTo, type RpcClient } from '../../src/rpc/client.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { temporaryFolder } from '../support/folder.ts'

const WINE = '/usr/lib/wine/wine64'
const SERVER = '/usr/lib/wine/wineserver64'
const CONNECT_SECONDS = 60

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Windows {
  /** Runs a program to its end. */
  run(command: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ran>
  /** The path of a file of the user: `Roaming` or `Local`, then the rest below AppData. */
  appData(kind: 'Roaming' | 'Local', ...rest: string[]): string
  /** Ends all programs, and starts those of the Run key. */
  logOn(env?: Readonly<Record<string, string>>): Promise<void>
  /** Waits for a daemon that is not the one of this instance, and connects to it from Linux. */
  connect(otherThan?: string): Promise<RpcClient>
}

/** Standard streams are files, since Node under Wine does not accept pipes. */
export async function newWindows(): Promise<Windows> {
  const folder = await temporaryFolder()
  const prefix = join(folder, 'prefix')
  const base = {
    PATH: '/usr/bin:/bin',
    HOME: folder,
    LANG: 'C.UTF-8',
    WINEPREFIX: prefix,
    WINEARCH: 'win64',
    WINEDEBUG: '-all',
    WINESERVER: SERVER,
  }
  await mkdir(prefix)
  const server = async (option: string) => {
    await once(inDebian13([SERVER, option], { env: base, stdio: 'ignore' }), 'exit')
  }
  const logOff = async () => {
    await server('-k')
    await server('-w')
  }
  onTestFinished(logOff)
  let runs = 0
  const run = async (command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> => {
    const [out, err] = [join(folder, `out${++runs}`), join(folder, `err${runs}`)]
    const [stdout, stderr] = [await open(out, 'w'), await open(err, 'w')]
    const child = inDebian13([WINE, ...command], {
      env: { ...base, ...env },
      stdio: ['ignore', stdout.fd, stderr.fd],
    })
    const [code] = await once(child, 'exit')
    await Promise.all([stdout.close(), stderr.close()])
    return { code, stdout: await readFile(out, 'utf8'), stderr: await readFile(err, 'utf8') }
  }
  await run(['wineboot', '--init'])
  const users = join(prefix, 'drive_c', 'users')
  const [user = ''] = (await readdir(users)).filter((name) => name !== 'Public')
  const appData = (kind: 'Roaming' | 'Local', ...rest: string[]) => join(users, user, 'AppData', kind, ...rest)
  return {
    run,
    appData,
    async logOn(env = {}) {
      await logOff()
      await run(['wineboot'], env)
    },
    async connect(otherThan) {
      const file = appData('Local', 'cadzero-auth', 'Data', 'endpoint.json')
      for (const deadline = performance.now() + CONNECT_SECONDS * 1000; ; ) {
        const text = await readFile(file, 'utf8').catch(() => '')
        const endpoint = text === '' ? undefined : (JSON.parse(text) as Endpoint)
        if (endpoint !== undefined && endpoint.instance !== otherThan) {
          const client = await connectTo(endpoint, systemRandom)
          onTestFinished(() => client.close())
          return client
        }
        if (performance.now() > deadline) throw new Error('the daemon did not start')
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    },
  }
}

/** The path of a file of this computer as programs under Wine see it. */
export function winePath(path: string): string {
  return `Z:${path.replaceAll('/', '\\')}`
}
