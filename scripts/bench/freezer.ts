// Freezes a process as a suspended machine does: by the freezer of its control group if that can be written, or by SIGSTOP.
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'

export interface Freezer {
  readonly kind: 'cgroup freezer' | 'SIGSTOP'
  freeze(): void
  thaw(): void
  /** Gives the control group back. The process has ended by then. */
  remove(): void
}

// Version 2 alone: a process that version 1 has frozen cannot be killed, and would survive a bench that was.
const ROOTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified']

export function freezerOf(pid: number): Freezer {
  for (const root of ROOTS) {
    const freezer = cgroupFreezer(pid, `${root}/cadzero-auth-bench-${pid}`)
    if (freezer !== undefined) return freezer
  }
  return signalFreezer(pid)
}

function cgroupFreezer(pid: number, group: string): Freezer | undefined {
  try {
    mkdirSync(group)
  } catch {
    return undefined // no such file system, or not for this user
  }
  const remove = () => rmdirSync(group)
  const state = `${group}/cgroup.freeze`
  try {
    readFileSync(state)
    writeFileSync(`${group}/cgroup.procs`, String(pid))
  } catch {
    remove()
    return undefined
  }
  return {
    kind: 'cgroup freezer',
    freeze: () => writeFileSync(state, '1'),
    thaw: () => writeFileSync(state, '0'),
    remove,
  }
}

function signalFreezer(pid: number): Freezer {
  return {
    kind: 'SIGSTOP',
    freeze: () => void process.kill(pid, 'SIGSTOP'),
    thaw: () => void process.kill(pid, 'SIGCONT'),
    remove: () => undefined,
  }
}
