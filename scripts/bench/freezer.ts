// Freezes a process as a suspended machine does: by the freezer of its control group if that can be written, or by SIGSTOP.
import { appendFileSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Freezer {
  readonly kind: 'cgroup freezer' | 'SIGSTOP'
  freeze(): void
  thaw(): void
  /** Gives the control group back. The process has ended by then. */
  remove(): void
}

// Version 2 alone: a process that version 1 has frozen cannot be killed, and would survive a bench that was.
const ROOTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified']

/** @param runFolder the reaper of a bench that is killed finds the control group there, and removes it */
export function freezerOf(pid: number, runFolder: string): Freezer {
  for (const root of ROOTS) {
    const group = `${root}/cadzero-auth-bench-${pid}`
    appendFileSync(join(runFolder, 'control-groups'), `${group}\n`)
    const freezer = cgroupFreezer(pid, group)
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
