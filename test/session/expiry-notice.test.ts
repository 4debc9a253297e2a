// The two notices before a session ends, whatever timers and clocks do.
import { expect, it } from 'vitest'
import { ExpiryNotice } from '../../src/session/expiry-notice.ts'
import { TestClock } from '../support/clock.ts'

const HOUR = 3600
const DAY = 86_400

function newNotice() {
  const clock = new TestClock()
  const given: number[] = []
  const notice = new ExpiryNotice(clock, (end, inSeconds) => {
    expect(end - clock.now()).toBeCloseTo(inSeconds, 0)
    given.push(inSeconds)
  })
  return { clock, given, notice, end: (seconds: number) => notice.watch(clock.now() + seconds) }
}

it('gives a notice one day and one hour before the end, once each', () => {
  const { clock, given, end } = newNotice()
  end(7 * DAY)
  clock.advance(7 * DAY)
  expect(given).toEqual([DAY, HOUR])
})

it('gives only the notice of the hour if less than that is left', () => {
  const { clock, given, end } = newNotice()
  end(600)
  clock.advance(DAY)
  expect(given).toEqual([600])
})

it('gives no notice again if each refresh confirms the same end', () => {
  const { clock, given, notice } = newNotice()
  const at = clock.now() + 2 * DAY
  for (let n = 0; n < 2 * DAY; n += 600) {
    notice.watch(at + (n % 3))
    clock.advance(600)
  }
  expect(given.map((seconds) => Math.round(seconds / HOUR))).toEqual([24, 1])
})

it('starts again if the end moves', () => {
  const { clock, given, end } = newNotice()
  end(DAY)
  end(7 * DAY)
  clock.advance(7 * DAY)
  expect(given).toEqual([DAY, DAY, HOUR])
})

it('gives no notice with each refresh that moves the end on by some hours', () => {
  const { clock, given, end } = newNotice()
  for (let n = 0; n < 100; n++) {
    end(8 * HOUR)
    clock.advance(HOUR)
  }
  expect(given).toEqual([8 * HOUR])
  clock.advance(DAY)
  expect(given).toEqual([8 * HOUR, HOUR])
})

it('gives the notice within six hours of waking from a sleep across it', () => {
  const { clock, given, end } = newNotice()
  end(3 * DAY)
  clock.sleep(2.5 * DAY)
  clock.advance(6 * HOUR)
  expect(given).toHaveLength(1)
})

it.each([null, 0, -5])('gives none for an end of %s', (seconds) => {
  const { clock, given, notice } = newNotice()
  notice.watch(seconds === null ? null : clock.now() + seconds)
  clock.advance(7 * DAY)
  expect(given).toEqual([])
})

it('gives none after a sign-out', () => {
  const { clock, given, notice, end } = newNotice()
  end(2 * DAY)
  notice.watch(null)
  clock.advance(7 * DAY)
  expect(given).toEqual([])
})
