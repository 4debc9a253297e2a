// One result of the doctor: what it checked, what it found, and what the user can do about it.
import { failureOf } from '../failure.ts'

export interface Finding {
  readonly check: string
  readonly verdict: 'ok' | 'warning' | 'failed'
  readonly found: string
  readonly hint?: string
  /** What was found, for programs: in the output of `--json` alone. */
  readonly details?: object
}

/** The finding for a check that threw. @param verdict how serious that is */
export function findingOf(check: string, error: unknown, verdict: Finding['verdict'] = 'failed'): Finding {
  const { error: found, hint } = failureOf(error)
  return { check, verdict, found, ...(hint === undefined ? {} : { hint }) }
}

const MARKS = { ok: 'ok     ', warning: 'warning', failed: 'FAILED ' } as const

/** The column at which the text begins. */
export const FOUND_COLUMN = 9

/** @param colour of the mark; none by default */
export function describeFinding(
  { check, verdict, found, hint }: Finding,
  colour = (_: Finding['verdict'], mark: string) => mark,
): string {
  const line = `${colour(verdict, MARKS[verdict])}  ${check}: ${found}`
  return hint === undefined ? line : `${line}\n${' '.repeat(FOUND_COLUMN)}hint: ${hint}`
}
