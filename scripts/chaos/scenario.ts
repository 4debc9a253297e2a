// The definition of a chaos scenario: its name, its needs, its number of trials, and the losses it counts.
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../src/host/clock.ts'
import type { SeededRandom } from '../../test/support/rounds.ts'

/** A requirement of a scenario. If the machine does not meet it, the scenario is skipped and the reason is printed. */
export type Need = 'linux' | 'root' | 'strace' | 'prlimit' | 'setpriv' | 'mount' | 'chattr'

export interface Scenario {
  readonly name: string
  /** What it does and what must hold, in one line. */
  readonly about: string
  readonly needs: readonly Need[]
  /** The number of trials, or of another unit that the scenario counts. */
  readonly rounds: { readonly short: number; readonly full: number }
  /** No trial starts after this time. The scenario has failed if it has not ended a minute later. */
  readonly seconds: { readonly short: number; readonly full: number }
  /** Returns its measurements in one line. */
  run(chaos: Chaos): Promise<string>
}

/** The environment of a running scenario. */
export interface Chaos {
  readonly random: SeededRandom
  readonly rounds: number
  readonly isShort: boolean
  /** A folder of the scenario, removed when it has ended. */
  readonly folder: string
  /** The built program, a copy for this run. */
  readonly program: string
  /** The bundled script of a child process. */
  readonly helper: (name: 'writer' | 'starter' | 'callers') => string
  /** Whether the time of the scenario is over. */
  isOver(): boolean
  countTrials(count?: number): void
  /** Records a violation: something that must never happen. */
  lost(what: string): void
  /** Registers a clean-up for the end of the scenario, successful or not. The last one registered runs first. */
  after(undo: () => unknown): void
}

/** The reason why this machine does not meet a need; undefined if it meets all. */
export function missing(needs: readonly Need[]): string | undefined {
  return needs.map((need) => WHY_NOT[need]()).find((why) => why !== undefined)
}

const succeeds = (command: string, ...args: string[]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0
const unless = (met: boolean, why: string) => (met ? undefined : why)

const WHY_NOT: Readonly<Record<Need, () => string | undefined>> = {
  linux: () => unless(process.platform === 'linux', 'needs Linux'),
  root: () => unless(process.getuid?.() === 0, 'needs root'),
  strace: () =>
    unless(succeeds('strace', '-f', '-e', 'trace=none', 'true'), 'needs strace, with the permission to trace'),
  prlimit: () => unless(succeeds('prlimit', '--nofile=64', 'true'), 'needs prlimit (util-linux)'),
  setpriv: () =>
    unless(
      succeeds('setpriv', '--reuid=65534', '--clear-groups', 'true'),
      'needs setpriv, with the permission to switch the user',
    ),
  mount: () => unless(canMount(), 'needs the permission to mount'),
  chattr: () => unless(succeeds('chattr', '-V') || succeeds('which', 'chattr'), 'needs chattr (e2fsprogs)'),
}

function canMount(): boolean {
  const folder = join('/tmp', `cadzero-auth-mount-${process.pid}`)
  mkdirSync(folder)
  const mounted = succeeds('mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder)
  if (mounted) spawnSync('umount', [folder])
  rmdirSync(folder)
  return mounted
}

/** The value below which this part of the values lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

/** Polls until a condition holds, for conditions without an event. Returns false after the timeout. */
export async function eventually(holds: () => boolean | Promise<boolean>, seconds: number): Promise<boolean> {
  const end = performance.now() + seconds * 1000
  while (!(await holds())) {
    if (performance.now() > end) return false
    await systemClock.wait(0.02)
  }
  return true
}

/** The outcome of a promise: `ok`, the code and the reason of an RPC error, or the name of another error. */
export async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'ok'
  } catch (error) {
    if (!(error instanceof Error)) return 'unknown'
    const { code, data } = error as { code?: unknown; data?: { reason?: unknown } }
    return code === undefined ? error.name : [code, data?.reason].filter((part) => part !== undefined).join(' ')
  }
}
