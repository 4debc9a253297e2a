// What a chaos scenario is: a name, what it needs, how often it tries, and what it counts.
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { SeededRandom } from '../../test/support/rounds.ts'

/** What a scenario cannot do without; where it is missing the scenario is skipped, by that name. */
export type Need = 'linux' | 'root' | 'strace' | 'prlimit' | 'setpriv' | 'mount' | 'chattr'

export interface Scenario {
  readonly name: string
  /** What is lost where it fails, in one line. */
  readonly about: string
  readonly needs: readonly Need[]
  /** Trials, or what the scenario counts instead. */
  readonly rounds: { readonly short: number; readonly full: number }
  /** After so long it tries no more; a scenario that has not ended a while later has failed. */
  readonly seconds: { readonly short: number; readonly full: number }
  /** @returns its figures, in one line */
  run(chaos: Chaos): Promise<string>
}

/** What a scenario runs with. */
export interface Chaos {
  readonly dice: SeededRandom
  readonly rounds: number
  readonly isShort: boolean
  /** Its own, gone when it has ended. */
  readonly folder: string
  /** The built program, a copy of this run's own. */
  readonly program: string
  /** The bundled file of a child process of ours. */
  readonly helper: (name: 'writer' | 'starter' | 'callers') => string
  /** Whether its time is over. */
  isOver(): boolean
  trial(count?: number): void
  /** Notes what must never happen. */
  lost(what: string): void
  /** To be done when the scenario has ended, however; the last first. */
  after(undo: () => unknown): void
}

/** The first need that this machine does not meet, and why; undefined where all are met. */
export function missing(needs: readonly Need[]): string | undefined {
  return needs.map((need) => WHY_NOT[need]()).find((why) => why !== undefined)
}

const isThere = (command: string, ...args: string[]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0
const unless = (met: boolean, why: string) => (met ? undefined : why)

const WHY_NOT: Readonly<Record<Need, () => string | undefined>> = {
  linux: () => unless(process.platform === 'linux', 'only Linux has what it uses'),
  root: () => unless(process.getuid?.() === 0, 'it has to be root'),
  strace: () => unless(isThere('strace', '-f', '-e', 'trace=none', 'true'), 'strace is not here, or may not trace'),
  prlimit: () => unless(isThere('prlimit', '--nofile=64', 'true'), 'prlimit (util-linux) is not here'),
  setpriv: () => unless(isThere('setpriv', '--reuid=65534', '--clear-groups', 'true'), 'it cannot become another user'),
  mount: () => unless(canMount(), 'it may not mount'),
  chattr: () => unless(isThere('chattr', '-V') || isThere('which', 'chattr'), 'chattr (e2fsprogs) is not here'),
}

function canMount(): boolean {
  const folder = join('/tmp', `cadzero-auth-mount-${process.pid}`)
  mkdirSync(folder)
  const mounted = isThere('mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder)
  if (mounted) spawnSync('umount', [folder])
  rmdirSync(folder)
  return mounted
}

/** The value below which so much of the list lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

/** Waits until it holds; false where that took too long. For what tells nobody when it changes. */
export async function eventually(holds: () => boolean | Promise<boolean>, seconds: number): Promise<boolean> {
  const end = performance.now() + seconds * 1000
  while (!(await holds())) {
    if (performance.now() > end) return false
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return true
}

/** What a promise came to, as a word: `ok`, an RPC code with its reason, or the error's name. */
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
