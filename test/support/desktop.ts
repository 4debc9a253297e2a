// A D-Bus session of its own with a real keyring (gnome-keyring), as a desktop has, for one test.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { temporaryFolder } from './folder.ts'

const NEEDED = ['dbus-run-session', 'gnome-keyring-daemon', 'secret-tool']

// It goes to the background before it has its name on the bus; whoever asks for the name then starts a second, locked one.
const ON_THE_BUS = `for _ in {1..500}; do
  dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
    string:org.freedesktop.secrets | grep -q 'boolean true' && break
  sleep 0.01
done
`

/** Whether this machine has what such a session needs. */
export const hasKeyring = NEEDED.every((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0)

export interface Desktop {
  /** Runs a program in a session whose keyring is unlocked, or is left locked. */
  run(command: readonly string[], env: NodeJS.ProcessEnv, keyring: 'unlocked' | 'locked'): ChildProcess
}

/** The keyring's content outlives each session, as it does on a real machine. */
export async function newDesktop(): Promise<Desktop> {
  const home = await temporaryFolder()
  const data = join(home, 'share')
  await mkdir(data, { mode: 0o700 })
  let sessions = 0
  const unlock = 'printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; '
  const start = 'gnome-keyring-daemon --start --components=secrets >/dev/null 2>&1; '
  return {
    run(command, env, keyring) {
      // Of its own, since the keyring of the session before may still be closing its socket in its.
      const runtime = join(home, `run-${++sessions}`)
      mkdirSync(runtime, { mode: 0o700 })
      const script = `${keyring === 'unlocked' ? unlock : start}${ON_THE_BUS}exec "$@"`
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
