// The results as a table for the terminal and in Markdown.
import { formatTable } from '../table.ts'
import { RATE_LIMIT, WINDOW } from './clerk.ts'
import { findingsOf, type Result } from './scenarios.ts'

export interface Capacity {
  /** The lifetime of a token in seconds. */
  readonly lifetime: number
  readonly daemons: number
}

const HEAD = [
  'method',
  'token lifetime',
  'daemons',
  'requests per working user',
  'requests per idle user',
  'peak per second',
  `Backend API, peak in ${WINDOW} s`,
  'rate-limited (429)',
  'failed calls before the outage',
  'during it',
  'after it',
  'calls that waited',
  'all served after the outage',
]

function cellsOf(results: readonly Result[]): string[][] {
  const rows = results.map((result) => {
    const { method, lifetime, daemons, oneIn } = result
    const found = findingsOf(result)
    const scaled = (counted: number) => count(counted * oneIn)
    return [
      method === 'oauth' ? 'OAuth' : 'broker',
      lifetimeName(lifetime),
      `${count(daemons)}${oneIn > 1 ? ' *' : ''}`,
      found.perWorkingUser.toFixed(found.perWorkingUser < 10 ? 2 : 0),
      String(found.perIdleUser),
      scaled(found.peak),
      method === 'oauth' ? 'none' : `${scaled(found.peakWindow)} of ${count(RATE_LIMIT)}`,
      scaled(found.rateLimited),
      scaled(found.errorsBefore),
      scaled(found.errorsDuring),
      scaled(found.errorsAfter),
      `${(found.waitedShare * 100).toFixed(found.waitedShare < 0.1 ? 2 : 0)} %`,
      found.servedAfter === undefined ? 'over an hour' : `${found.servedAfter} s`,
    ]
  })
  return [HEAD, ...rows]
}

/** Explains the asterisk; undefined if no row has one. */
export function footnote(results: readonly Result[]): string | undefined {
  const scaled = results.find(({ oneIn }) => oneIn > 1)
  return (
    scaled &&
    `* one daemon in ${scaled.oneIn} is simulated, against 1/${scaled.oneIn} of the rate limit; counts are multiplied`
  )
}

/** Transposed: a terminal has room for six columns, not for thirteen. */
export function plainTable(results: readonly Result[]): string {
  const cells = cellsOf(results)
  return formatTable(HEAD.map((_, column) => cells.map((row) => row[column] ?? '')))
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
