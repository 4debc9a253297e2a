// Asks the Secret Service (Linux) whether its default collection is unlocked. That raises no prompt.
import { findProgram } from '../host/programs.ts'
import type { Run } from '../host/run.ts'

const DBUS_SEND = ['/usr/bin/dbus-send', '/bin/dbus-send', '/run/current-system/sw/bin/dbus-send']
const QUESTION = [
  '--session',
  '--print-reply=literal',
  '--reply-timeout=2000',
  '--dest=org.freedesktop.secrets',
  '/org/freedesktop/secrets/aliases/default',
  'org.freedesktop.DBus.Properties.Get',
  'string:org.freedesktop.Secret.Collection',
  'string:Locked',
]

/** False if it is locked, or that cannot be told: on Windows and macOS, without dbus-send, without a collection. */
export async function isSecretServiceUnlocked(
  run: Run,
  platform: NodeJS.Platform = process.platform,
  program = findProgram(DBUS_SEND),
): Promise<boolean> {
  if (platform === 'win32' || platform === 'darwin' || !program) return false
  const { status, stdout } = await run(program, QUESTION)
  return status === 0 && /\bboolean false\b/.test(stdout)
}
