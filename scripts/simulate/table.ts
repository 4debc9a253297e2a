// The table at the end, and the same in Markdown.
import { formatTable } from '../table.ts'
import { LIMIT, WINDOW } from './clerk.ts'
import { findingsOf, type Result } from './scenarios.ts'

export interface Capacity {
  readonly lifetime: number
  readonly daemons: number
}

const HEAD = [
  'way',
  'tokens live',
  'daemons',
  'requests a working user a day',
  'an idle one',
  'peak a second',
  `Backend API, peak in ${WINDOW} s`,
  'refused (429)',
  'failed calls before the outage',
  'in its 10 minutes',
  'after it',
  'calls that waited',
  'all served again after',
]

export function cellsOf(results: readonly Result[]): string[][] {
  const rows = results.map((result) => {
    const { way, lifetime, daemons, oneIn } = result
    const found = findingsOf(result)
    const whole = (counted: number) => count(counted * oneIn)
    return [
      way === 'oauth' ? 'OAuth' : 'broker',
      lifetimeName(lifetime),
      `${count(daemons)}${oneIn > 1 ? ' *' : ''}`,
      found.perWorkingUser.toFixed(found.perWorkingUser < 10 ? 2 : 0),
      String(found.perIdleUser),
      whole(found.peakSecond),
      way === 'oauth' ? 'none' : `${whole(found.peakWindow)} of ${count(LIMIT)}`,
      whole(found.refused),
      whole(found.errorsBefore),
      whole(found.errorsDuring),
      whole(found.errorsAfter),
      `${(found.waited * 100).toFixed(found.waited < 0.1 ? 2 : 0)} %`,
      found.servedAfter === undefined ? 'over an hour' : `${found.servedAfter} s`,
    ]
  })
  return [HEAD, ...rows]
}

/** What the star says; nothing where there is none. */
export function footnote(results: readonly Result[]): string | undefined {
  const played = results.find(({ oneIn }) => oneIn > 1)
  return (
    played && `* one daemon in ${played.oneIn} is played, against 1/${played.oneIn} of the limit; counts are multiplied`
  )
}

/** Turned by a quarter: a terminal has room for six columns, and not for thirteen. */
export function plainTable(results: readonly Result[]): string {
  const cells = cellsOf(results)
  const turned = HEAD.map((_, column) => cells.map((row) => row[column] ?? ''))
  return formatTable(turned)
}

export function markdownTable(results: readonly Result[]): string {
  const [head = [], ...rows] = cellsOf(results)
  const line = (row: readonly string[]) => `| ${row.join(' | ')} |`
  return [line(head), line(head.map((_, i) => (i < 2 ? '---' : '---:'))), ...rows.map(line)].join('\n')
}

export function lifetimeName(seconds: number): string {
  if (seconds === 86_400) return '1 day'
  if (seconds === 3600) return '1 hour'
  return seconds < 120 ? `${seconds} s` : `${seconds / 60} min`
}

export function count(value: number): string {
  return value.toLocaleString('en-US')
}
