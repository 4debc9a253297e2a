// RFC 7636, Proof Key for Code Exchange.
import { describe, expect, it } from 'vitest'
import { randomText, systemRandom } from '../../../src/host/random.ts'

describe('RFC 7636', () => {
  it('[7636-1] makes verifiers of 43 unreserved characters that are evenly distributed', () => {
    const samples = Array.from({ length: 10_000 }, () => randomText(systemRandom, 32))
    expect(new Set(samples).size).toBe(samples.length)
    const counts = new Map<string, number>()
    for (const sample of samples) {
      expect(sample).toMatch(/^[\w-]{43}$/)
      // The last of the 43 characters holds 4 bits only.
      for (const char of sample.slice(0, 42)) counts.set(char, (counts.get(char) ?? 0) + 1)
    }
    expect(counts.size).toBe(64)
    const expected = (samples.length * 42) / 64
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    expect(chiSquare).toBeLessThan(140) // 63 degrees of freedom: exceeded once in ten million runs
  })
})
