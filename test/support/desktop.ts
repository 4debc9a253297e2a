// A separate D-Bus session with a real keyring (gnome-keyring) for one test, as on a desktop.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { temporaryFolder } from './folder.ts'

const PROGRAMS = ['dbus-run-session', 'gnome-keyring-daemon', 'secret-tool']

// The keyring goes to the background before it owns its name on the bus: a request would then start a second, locked one.
const WAIT_FOR_BUS_NAME = `for _ in {1..500}; do
  dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
    string:org.freedesktop.secrets | grep -q 'boolean true' && break
  sleep 0.01
done
`

/** Whether this computer has the programs for such a session. */
export const hasKeyring = PROGRAMS.every((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0)

export interface Desktop {
  /** Runs a program in a session whose keyring is unlocked, or is left locked. */
  run(command: readonly string[], env: NodeJS.ProcessEnv, keyring: 'unlocked' | 'locked'): ChildProcess
}

/** The content of the keyring outlives each session, as on a real computer. */
export async function newDesktop(): Promise<Desktop> {
  const home = await temporaryFolder()
  const data = join(home, 'share')
  await mkdir(data, { mode: 0o700 })
  let sessions = 0
  const unlock = 'printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; '
  const start = 'gnome-keyring-daemon --start --components=secrets >/dev/null 2>&1; '
  return {
    run(command, env, keyring) {
      // A new one for each session: the previous keyring may still be closing its socket.
      const runtime = join(home, `run-${++sessions}`)
      mkdirSync(runtime, { mode: 0o700 })
      const script = `${keyring === 'unlocked' ? unlock : start}${WAIT_FOR_BUS_NAME}exec "$@"`
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
