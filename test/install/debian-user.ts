// A user of Debian 13, who tries the packages for Linux.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { DEBIAN13 } from '../../scripts/trials/debian13.ts'
import { eventually } from '../packaging/user-manager.ts'
import { type Ended, endOf } from '../support/program.ts'

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url))

export interface DebianUser {
  /** The home of the user as the test sees it. */
  readonly home: string
  run(...command: string[]): Promise<Ended>
  /** Runs a command as root. */
  runAsRoot(...command: string[]): Promise<Ended>
}

/** A log-on of an unprivileged user on a Debian 13 of its own, which is made of memory and ends with the test. */
export async function startDebianUser(): Promise<DebianUser> {
  const root = await mkdtemp('/var/lib/cadzero-auth-test-')
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private']
  const args = [...namespaces, 'sh', script('debian-user.sh'), DEBIAN13, root]
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
