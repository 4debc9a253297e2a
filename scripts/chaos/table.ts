// The table at the end of a chaos run.
import { formatTable } from '../table.ts'

export interface Line {
  readonly name: string
  readonly trials: number
  readonly lost: number
  readonly figures: string
  readonly seconds: number
  readonly skipped?: string
}

export function tableOf(lines: readonly Line[]): string {
  const rows = lines.map(({ name, trials, lost, seconds, figures, skipped }) =>
    skipped === undefined
      ? [name, String(trials), String(lost), seconds.toFixed(1), figures]
      : [name, '', '', '', `skipped: ${skipped}`],
  )
  return formatTable([['scenario', 'trials', 'lost', 'seconds', 'figures'], ...rows], [0, 4])
}
