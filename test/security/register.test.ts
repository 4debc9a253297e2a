// Tests the register of attacks and standards, and the check of a run's report against it.
import { describe, expect, it } from 'vitest'
import { attacks, checkReport, type Register, register, rowsOf, standards } from './register.ts'

const rows: Register = { A1: { means: 'a' }, B1: { means: 'b', said: 'Out of scope' } }
type Test = readonly [title: string, status: string]
const report = (...tests: readonly Test[]) => [
  { testResults: [{ assertionResults: tests.map(([title, status]) => ({ title, status })) }] },
]
const check = (...tests: readonly Test[]) => checkReport(rows, report(...tests), ['Out of scope'])

describe('the register', () => {
  it('has every attack of each kind, in order', () => {
    const kinds = { A: 8, B: 11, C: 11, D: 9, E: 4, F: 1, G: 9, H: 9, I: 8 }
    const ids = Object.entries(kinds).flatMap(([kind, count]) =>
      Array.from({ length: count }, (_, i) => `${kind}${i + 1}`),
    )
    expect(Object.keys(attacks)).toEqual(ids)
  })

  it('has every requirement of each standard', () => {
    const counts = { 8252: 9, 7636: 3, 9700: 10, 8414: 3, 9207: 4, 9449: 4, 7009: 3, 6749: 3, 6750: 2, 6455: 6, J: 15 }
    for (const [standard, count] of Object.entries(counts)) {
      const ids = Array.from({ length: count }, (_, i) => (standard === 'J' ? `J${i + 1}` : `${standard}-${i + 1}`))
      for (const id of ids) expect(standards, id).toHaveProperty([id])
    }
    expect(Object.keys(standards).filter((id) => id.startsWith('OIDC-'))).toHaveLength(28)
    expect(Object.keys(standards).filter((id) => id.startsWith('OWASP-'))).toHaveLength(12)
    expect(Object.keys(register)).toHaveLength(Object.keys(attacks).length + Object.keys(standards).length)
  })
})

describe('the check of a report', () => {
  it('reads the rows from the start of a title', () => {
    expect(rowsOf('[A1 8252-5 OIDC-missing-iss] refuses it')).toEqual(['A1', '8252-5', 'OIDC-missing-iss'])
    expect(rowsOf('refuses [A1] it')).toEqual([])
    for (const title of ['[A1]refuses it', '[::1] is a loopback host', '["status"] prints JSON']) {
      expect(rowsOf(title)).toEqual([])
    }
  })

  it('accepts a row with a passed test, and a row without a test whose reason is in SECURITY.md', () => {
    expect(check(['[A1] refuses it', 'passed'])).toEqual([])
    expect(check(['[A1] refuses it', 'pending'], ['[A1] refuses it twice', 'passed'])).toEqual([])
  })

  it('reports a row without a test, or with failed and skipped tests alone', () => {
    expect(check()).toEqual(['A1 has no test: a'])
    expect(check(['[A1] x', 'failed'], ['[A1] y', 'pending'])).toEqual(['A1 has no passed test (failed, pending): a'])
    expect(check(['[A1 B1] x', 'failed'])).toHaveLength(2)
  })

  it('reports a title that names no row, and a reason that is not in SECURITY.md', () => {
    expect(check(['[A1 A9] x', 'passed'])).toEqual(['no row A9: [A1 A9] x'])
    expect(checkReport(rows, report(['[A1] x', 'passed']), [])).toEqual([
      'B1: SECURITY.md has no heading «Out of scope»',
    ])
  })
})
