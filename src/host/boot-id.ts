// The id of this start of the system: it tells a process id of today from the same number before a restart.
import { readFileSync } from 'node:fs'

/** @returns null if the system does not tell (macOS, Windows) */
export function bootId(): string | null {
  if (process.platform !== 'linux') return null // Windows would read a file of any user's on the current drive
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return null
  }
}
