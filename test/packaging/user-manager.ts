// A systemd user manager for one test, as after a log-on. It ends with the test, as do all its processes.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { type Ended, endOf } from '../support/program.ts'

const SCRIPT = fileURLToPath(new URL('user-manager.sh', import.meta.url))
const NEEDED = ['/usr/bin/systemctl', '/usr/bin/systemd-run', '/usr/lib/systemd/user/dbus.socket', '/usr/bin/unshare']
const NAMESPACES = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private']

/** The first requirement that this computer lacks; empty if it lacks none. */
export function missingRequirement(): string {
  if (process.platform !== 'linux') return 'needs Linux'
  if (process.getuid?.() !== 0) return 'needs root to create mounts'
  const absent = NEEDED.filter((path) => !existsSync(path))
  if (absent.length > 0) return `needs ${absent.join(', ')} (Debian: systemd, dbus, dbus-user-session)`
  if (spawnSync('unshare', [...NAMESPACES, 'true']).status !== 0) return 'needs the right to create namespaces'
  return ''
}

export interface UserManager {
  /** The user's home as processes under the manager see it. It is empty, and in memory. */
  readonly home: string
  /** The path of the same folder for the test. */
  readonly homeFromTest: string
  run(command: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended>
}

const WAIT_MS = 20_000

/** @param env the environment of the manager, which all its processes inherit */
export async function startUserManager(env: Readonly<Record<string, string>> = {}): Promise<UserManager> {
  // Not in /tmp, since the unit has a private /tmp.
  const root = await mkdtemp('/var/lib/cadzero-auth-test-')
  const { PATH } = process.env
  const outer = spawn('unshare', [...NAMESPACES, 'sh', SCRIPT, root], { env: { PATH, ...env }, stdio: 'ignore' })
  const ended = once(outer, 'exit')
  onTestFinished(async () => {
    outer.kill('SIGKILL') // --kill-child ends the first process of the namespace, and with it all others
    await ended
    await rm(root, { recursive: true })
  })
  const [home, runtime] = [join(root, 'home'), join(root, 'run')]
  const inside = await eventually(async () => {
    const children = await readFile(`/proc/${outer.pid}/task/${outer.pid}/children`, 'utf8')
    if (children.trim() === '') throw new Error('the namespace has no process')
    return children.trim()
  })
  const run = async (command: readonly string[], more: Readonly<Record<string, string>> = {}) => {
    const child = spawn('nsenter', ['--target', inside, '--mount', '--pid', '--', ...command], {
      env: {
        PATH,
        HOME: home,
        XDG_RUNTIME_DIR: runtime,
        DBUS_SESSION_BUS_ADDRESS: `unix:path=${runtime}/bus`,
        ...more,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    return await endOf(child)
  }
  await eventually(async () => {
    const { code } = await run(['systemctl', '--user', 'show', '--property=Version'])
    if (code !== 0) throw new Error('the user manager does not respond')
  })
  return { home, homeFromTest: `/proc/${inside}/root${home}`, run }
}

/** Retries the action until it does not throw. @throws its last error after 20 seconds */
export async function eventually<T>(action: () => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + WAIT_MS; ; ) {
    try {
      return await action()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
