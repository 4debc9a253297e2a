// The table at the end of a chaos run.

export interface Line {
  readonly name: string
  readonly trials: number
  readonly lost: number
  readonly figures: string
  readonly seconds: number
  readonly skipped?: string
}

export function tableOf(lines: readonly Line[]): string {
  const rows = [
    ['scenario', 'trials', 'lost', 'seconds', 'figures'],
    ...lines.map(({ name, trials, lost, seconds, figures, skipped }) =>
      skipped === undefined
        ? [name, String(trials), String(lost), seconds.toFixed(1), figures]
        : [name, '', '', '', `skipped: ${skipped}`],
    ),
  ]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const cell = (text: string, i: number) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))
  return rows.map((row) => row.map(cell).join('  ').trimEnd()).join('\n')
}
