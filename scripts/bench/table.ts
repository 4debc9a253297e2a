// The plain table at the end.

export interface Row {
  readonly what: string
  readonly daemon: string
  readonly bare?: string
  readonly ratio?: number
  /** Where there is one, `met` says whether it was reached. */
  readonly target?: string
  readonly met?: boolean
}

export function tableOf(rows: readonly Row[]): string {
  const cells = [
    ['', 'daemon', 'bare', 'ratio', 'target', ''],
    ...rows.map(({ what, daemon, bare = '', ratio, target = '', met }) => [
      what,
      daemon,
      bare,
      ratio === undefined ? '' : ratio.toFixed(2),
      target,
      met === undefined ? '' : met ? 'ok' : 'missed',
    ]),
  ]
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))) ?? []
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 || i === 5 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')
  return cells.map((row) => line(row).trimEnd()).join('\n')
}
