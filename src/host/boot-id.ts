// The id of this start of the system: it tells a process id of today from the same number before a restart.
import { readFileSync } from 'node:fs'

/** @returns null if the system does not tell (macOS, Windows) */
export function bootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return null
  }
}
