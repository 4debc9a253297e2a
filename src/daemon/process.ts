// What the daemon does to its own process: no debugger, no core dump with secrets, a clean end on signals.
import { writeFileSync } from 'node:fs'

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/** To be called first thing, before a secret is in memory. */
export function hardenProcess(): void {
  process.umask(0o077)
  // Without a listener SIGUSR1 opens Node's inspector to every user of the machine.
  process.on('SIGUSR1', () => undefined)
  if (process.report) process.report.reportOnFatalError = false
  try {
    writeFileSync('/proc/self/coredump_filter', '0x0')
  } catch {
    // not Linux; there the system's own settings rule
  }
}

/** Calls `end` with the signal's name when the system or a person ends the process. */
export function onEnd(end: (signal: string) => void): void {
  for (const signal of SIGNALS) process.on(signal, () => end(signal))
}
