// The page of what was proven where: its table uses its own words, and each trial has a row that it can write.
import { describe, expect, it } from 'vitest'
import { TRIALS, withRow } from '../../scripts/trials/record.ts'
import { readPage } from './markdown.ts'

const { text } = readPage('docs/platform-status.md')
const cellsOf = (line: string) =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())

describe('docs/platform-status.md', () => {
  it('says of each capability and system how it was proven', () => {
    const table = text.slice(text.indexOf('| | Linux x64'), text.indexOf('## The last trials'))
    const rows = table
      .split('\n')
      .slice(2)
      .filter((line) => line.startsWith('|'))
    expect(rows.length).toBeGreaterThan(10)
    for (const [capability, ...cells] of rows.map(cellsOf)) {
      expect(cells, capability).toHaveLength(3)
      for (const cell of cells) expect(cell, capability).toMatch(/^(real|Wine 10|stand-in|not run|none)\b/)
    }
  })

  it.each(TRIALS)('has a row of the trial «%s»', (trial) => {
    const line = text.split('\n').find((one) => one.startsWith(`| ${trial} |`)) ?? ''
    const [, node] = cellsOf(line)
    expect(node).toMatch(/^(not run|\d+\.\d+\.\d+)$/)
  })

  it('gets the row of a trial, and keeps all others', () => {
    const counts = { passed: 3, failed: 0, skipped: 1 }
    const changed = withRow(text, TRIALS[0], '22.1.0', counts, new Date('2026-05-01T12:00:00Z')).split('\n')
    const before = text.split('\n')
    const different = changed.filter((line, index) => line !== before[index])
    expect(different).toEqual([
      expect.stringMatching(/^\| Debian 13, Node\.js 22 \| 22\.1\.0 \| 3 \| 0 \| 1 \| .* \| 2026-05-01 \|$/),
    ])
    expect(() => withRow('', TRIALS[0], '22.1.0', counts, new Date(0))).toThrow('has no row')
  })
})
