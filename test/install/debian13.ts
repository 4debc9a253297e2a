// A folder with Debian 13, made once: its Wine 10 runs programs for Windows, and a user of its own tries the packages for Linux.
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { eventually } from '../packaging/user-manager.ts'
import { type Ended, endOf } from '../support/program.ts'

/** Outside /tmp, which the tests share with it. */
export const DEBIAN13 = process.env.CADZERO_AUTH_DEBIAN13 ?? '/var/lib/cadzero-auth-debian13'

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** What this computer lacks; empty if it lacks nothing. */
export function lacking(): string {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'needs Linux x64'
  if (process.getuid?.() !== 0) return 'needs root to create mounts'
  const hasFolder = existsSync(join(DEBIAN13, '.complete'))
  const canMake = spawnSync('mmdebstrap', ['--version']).status === 0
  if (!hasFolder && !canMake) return 'needs mmdebstrap'
  return spawnSync('unshare', ['--mount', 'true']).status === 0 ? '' : 'needs the right to create namespaces'
}

/** Makes the folder, unless it is there, which takes a minute. */
export async function makeDebian13(): Promise<void> {
  const child = spawn(script('debian13.sh'), [DEBIAN13], { stdio: ['ignore', 'ignore', 'inherit'] })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`debian13.sh ended with ${code}`)
  for (const name of ['hosts', 'resolv.conf']) await cp(`/etc/${name}`, join(DEBIAN13, 'etc', name))
}

/** Runs a program of Debian 13 with the /tmp, /dev and /proc of this computer. */
export function inDebian13(command: readonly string[], options: SpawnOptions): ChildProcess {
  const mounts = ['proc', 'dev', 'sys', 'tmp'].map((name) => `mount --rbind /${name} "$0/${name}"`).join(' && ')
  const shell = `${mounts} && exec /usr/sbin/chroot "$0" "$@"`
  return spawn(
    'unshare',
    ['--mount', '--propagation', 'private', '--', 'sh', '-c', shell, DEBIAN13, ...command],
    options,
  )
}

export interface DebianUser {
  /** The home of the user as the test sees it. */
  readonly home: string
  run(...command: string[]): Promise<Ended>
  /** Runs a command as root. */
  runAsRoot(...command: string[]): Promise<Ended>
}

/**
 * A log-on of an unprivileged user on a Debian 13 of its own, which is made of memory and ends with the test.
 * @param packages the paths of Debian packages that are installed before
 */
export async function startDebianUser(packages: readonly string[]): Promise<DebianUser> {
  const root = await mkdtemp('/var/lib/cadzero-auth-test-')
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private']
  const args = [...namespaces, 'sh', script('debian-user.sh'), DEBIAN13, root, ...packages]
  const outer = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = endOf(outer)
  onTestFinished(async () => {
    outer.kill('SIGKILL') // --kill-child ends the first process of the namespace, and with it all others
    await ended
    await rm(root, { recursive: true })
  })
  const failed = ended.then(({ stdout, stderr }) => {
    throw new Error(`the user was not logged on: ${stdout}${stderr}`)
  })
  failed.catch(() => undefined)
  const inside = await eventually(async () => {
    const children = await readFile(`/proc/${outer.pid}/task/${outer.pid}/children`, 'utf8')
    if (children.trim() === '') throw new Error('the namespace has no process')
    return children.trim()
  })
  const enter = (command: readonly string[]) =>
    endOf(
      spawn('nsenter', ['--target', inside, '--mount', '--pid', '--root', '--wd', '--', ...command], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    )
  const login = ['setpriv', '--reuid=5001', '--regid=5001', '--clear-groups', 'env', '-i', '-C', '/home/designer']
  const variables = ['HOME=/home/designer', 'PATH=/usr/bin:/bin', 'XDG_RUNTIME_DIR=/run/user/5001']
  const bus = 'DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/5001/bus'
  const run = (...command: string[]) => enter([...login, ...variables, bus, ...command])
  const ready = eventually(async () => {
    const { code, stderr } = await run('systemctl', '--user', 'is-active', 'default.target')
    if (code !== 0) throw new Error(`the user manager does not respond: ${stderr}`)
  })
  await Promise.race([ready, failed])
  return { home: `/proc/${inside}/root/home/designer`, run, runAsRoot: (...command) => enter(command) }
}
