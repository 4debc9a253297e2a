// A D-Bus session of its own with a real keyring (gnome-keyring), as a desktop has, for one test.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { temporaryFolder } from './folder.ts'

const NEEDED = ['dbus-run-session', 'gnome-keyring-daemon', 'secret-tool']

/** Whether this machine has what such a session needs. */
export const hasKeyring = NEEDED.every((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0)

export interface Desktop {
  /** Runs a program in a session whose keyring is unlocked, or is left locked. */
  run(command: readonly string[], env: NodeJS.ProcessEnv, keyring: 'unlocked' | 'locked'): ChildProcess
}

/** The keyring's content outlives each session, as it does on a real machine. */
export async function newDesktop(): Promise<Desktop> {
  const home = await temporaryFolder()
  const [runtime, data] = [join(home, 'run'), join(home, 'share')]
  await mkdir(runtime, { mode: 0o700 })
  await mkdir(data, { mode: 0o700 })
  const unlock = 'printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; '
  const start = 'gnome-keyring-daemon --start --components=secrets >/dev/null 2>&1; '
  return {
    run(command, env, keyring) {
      // Not exec: the session must outlive the program long enough to see it end.
      const script = `${keyring === 'unlocked' ? unlock : start}exec "$@"`
      const child = spawn('dbus-run-session', ['--', 'bash', '-c', script, '_', ...command], {
        env: { ...env, XDG_RUNTIME_DIR: runtime, XDG_DATA_HOME: data },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      onTestFinished(async () => {
        if (child.exitCode !== null) return
        child.kill('SIGTERM')
        await once(child, 'exit')
      })
      return child
    },
  }
}
