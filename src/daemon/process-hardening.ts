// Hardens the process of the daemon: no debugger, no secrets in a core dump, a clean end on signals.
import { writeFileSync } from 'node:fs'
import { endsAtHangUp } from '../host/signals.ts'

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

// They open a debugger, run other code first, or write memory and traffic to files. Node applies them before this code runs.
const UNWANTED_OPTIONS =
  /(?:^|\s)["']?(?:-r\b|--(?:inspect|require|import|loader|experimental-loader|heap|cpu-prof|report|tls-keylog|trace|diagnostic-dir|openssl))/

/**
 * The name of a variable with which the daemon must not run; undefined if there is none, as after a start by a command or a
 * service manager.
 * @param appliesNodeOptions whether this Node applies NODE_OPTIONS; a single executable does not
 */
export function unwantedVariable(env: NodeJS.ProcessEnv, appliesNodeOptions: boolean): string | undefined {
  if (appliesNodeOptions && UNWANTED_OPTIONS.test(env.NODE_OPTIONS ?? '')) return 'NODE_OPTIONS'
  return ['NODE_DEBUG', 'NODE_DEBUG_NATIVE'].find((name) => env[name])
}

/** Call this first, before a secret is in memory. */
export function hardenProcess(): void {
  process.umask(0o077)
  delete process.env.NODE_TLS_REJECT_UNAUTHORIZED // Node reads it at each connection; '0' would accept any certificate
  // Without a listener, SIGUSR1 opens Node's inspector to every user of the machine.
  process.on('SIGUSR1', () => undefined)
  if (process.report) process.report.reportOnFatalError = false
  if (process.platform !== 'linux') return // the system's own settings apply
  try {
    writeFileSync('/proc/self/coredump_filter', '0x0')
  } catch {
    // a container without /proc
  }
}

/** Calls `end` with the signal's name when the system or the user ends the process. */
export function onEnd(end: (signal: string) => void, env: NodeJS.ProcessEnv): void {
  for (const signal of endsAtHangUp(env) ? [...SIGNALS, 'SIGHUP'] : SIGNALS) process.on(signal, () => end(signal))
}
