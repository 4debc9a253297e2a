// What the daemon does to its own process: no debugger, no core dump with secrets, a clean end on signals.
import { writeFileSync } from 'node:fs'

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

// They open debuggers, run code before ours, or write memory and traffic to files. Node has obeyed them before we run.
const UNWANTED_OPTIONS =
  /(?:^|\s)["']?(?:-r\b|--(?:inspect|require|import|loader|experimental-loader|heap|cpu-prof|report|tls-keylog|trace|diagnostic-dir|openssl))/

/**
 * Which variable of an environment, if any, the daemon must not run with. A start by a command or by a service has none.
 * @param heedsOptions whether this Node obeys NODE_OPTIONS; a single executable does not
 */
export function unwantedVariable(env: NodeJS.ProcessEnv, heedsOptions: boolean): string | undefined {
  if (heedsOptions && UNWANTED_OPTIONS.test(env.NODE_OPTIONS ?? '')) return 'NODE_OPTIONS'
  return ['NODE_DEBUG', 'NODE_DEBUG_NATIVE'].find((name) => env[name])
}

/** To be called first thing, before a secret is in memory. */
export function hardenProcess(): void {
  process.umask(0o077)
  delete process.env.NODE_TLS_REJECT_UNAUTHORIZED // read at each connection; '0' would trust anybody
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
