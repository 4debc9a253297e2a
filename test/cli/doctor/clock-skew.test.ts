// The doctor and the token check judge the clock by the same two bounds.
import { expect, it } from 'vitest'
import { correction } from '../../../src/clerk/server-time.ts'
import { checkSkew } from '../../../src/cli/doctor/clock-skew.ts'

it.each([0, 5, -5])('calls a clock right that is off by %i s', (skew) => {
  expect(checkSkew(skew)).toMatchObject({ verdict: 'ok', found: 'it agrees with the provider’s' })
})

it.each([6, -6, 300, -300])('says that the daemon corrects a clock that is off by %i s, and it does', (skew) => {
  expect(checkSkew(skew)).toMatchObject({ verdict: 'ok', found: expect.stringContaining('which the daemon corrects') })
  expect(correction(skew)).toBe(-skew)
})

it.each([301, -301, 86_400])('fails for a clock that is off by %i s, which the daemon does not correct', (skew) => {
  expect(checkSkew(skew)).toMatchObject({ verdict: 'failed', hint: expect.stringContaining('time server') })
  expect(correction(skew)).toBe(0)
})

it('does not fail if the provider does not state the time', () => {
  expect(checkSkew(null)).toMatchObject({ verdict: 'ok' })
  expect(correction(undefined)).toBe(0)
})
