// The rows of a bench's table.
import { formatTable } from '../table.ts'
import { reasonOf } from './begin.ts'

export interface Row {
  readonly what: string
  readonly daemon: string
  readonly bare?: string
  readonly ratio?: number
  /** The middle half of the ratios, or of the values if there is no bare side. */
  readonly spread?: string
  /** If the row has a target, `met` says whether it was reached. */
  readonly target?: string
  readonly met?: boolean
}

export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map(({ what, daemon, bare = '', ratio, spread = '', target = '', met }) => [
    what,
    daemon,
    bare,
    ratio === undefined ? '' : ratio.toFixed(2),
    spread,
    target,
    met === undefined ? '' : met ? 'ok' : 'missed',
  ])
  return formatTable([['', 'daemon', 'bare', 'ratio', 'middle half', 'target', ''], ...cells], [0, 6])
}

/** The daemon has answered wrongly. Unlike a speed, that does not depend on the machine: it fails the bench. */
export class WrongAnswerError extends Error {}

/** The rows; or one that says why this machine cannot measure them. @throws WrongAnswerError */
export async function rowsOrReason(what: string, measure: () => Promise<readonly Row[]>): Promise<readonly Row[]> {
  try {
    return await measure()
  } catch (error) {
    if (error instanceof WrongAnswerError) throw error
    return [{ what, daemon: `not measured: ${reasonOf(error)}` }]
  }
}
