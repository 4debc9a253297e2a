// The rows of a bench's table.
import { formatTable } from '../table.ts'

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
