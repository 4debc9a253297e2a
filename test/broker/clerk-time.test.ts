// The broker's time: Clerk's, by its last answer. The clock of the computer only checks it.
import { describe, expect, it } from 'vitest'
import type { ClerkResponse } from '../../src/broker/clerk-calls.ts'
import { ClerkTime } from '../../src/broker/clerk-time.ts'
import { BrokerError, OutdatedError } from '../../src/broker/errors.ts'
import { TestClock } from '../support/clock.ts'

const DAY = 86_400 // s
const REQUEST = { operation: 'keys', method: 'GET', target: '/v1/jwks' } as const
const near = (seconds: number) => expect.toSatisfy((value: number) => Math.abs(value - seconds) <= 5)

/** @param ahead seconds that the computer’s clock is ahead of Clerk’s */
function newWorld({ ahead = 0 } = {}) {
  const own = new TestClock()
  const clerk = new TestClock(own.now() - ahead)
  const changes: object[] = []
  let response: Partial<ClerkResponse> = {}
  let asked = 0
  const time: ClerkTime = new ClerkTime({
    clock: own,
    ask: async () => {
      asked++
      await calls(REQUEST, new AbortController().signal)
    },
    onChange: (isRight, offset) => changes.push({ isRight, offset: Math.round(offset / 10) * 10 + 0 }),
  })
  const calls = time.observing(async () => ({
    ...{ status: 200, body: {}, retryAfterSeconds: undefined, date: Math.floor(clerk.now()) },
    ...response,
  }))
  /** An answer that states `date`, during which `during` happens to the computer. */
  const observe = async (during: (clock: TestClock) => void, date: number) => {
    const late = time.observing(async () => {
      during(own)
      return { status: 200, body: {}, retryAfterSeconds: undefined, date }
    })
    await late(REQUEST, new AbortController().signal)
  }
  return {
    ...{ own, clerk, time, changes, observe },
    asked: () => asked,
    answer: (over: Partial<ClerkResponse>) => {
      response = over
    },
    pass: (seconds: number) => [own, clerk].map((clock) => clock.advance(seconds)),
  }
}

describe('the broker’s time', () => {
  it('is that of the computer, to the fraction, while Clerk agrees', async () => {
    const { own, time } = newWorld()
    await time.settle()
    own.advance(0.25)
    expect(time.now()).toBe(own.now())
    expect(time.isRight()).toBe(true)
  })

  it.each([-3650 * DAY, -2 * DAY, -200, 20, 200, 2 * DAY, 3650 * DAY])(
    'is Clerk’s if the computer’s clock is %i s ahead',
    async (ahead) => {
      const { clerk, time, pass } = newWorld({ ahead })
      await time.settle()
      expect(time.now()).toEqual(near(clerk.now()))
      pass(3 * DAY)
      expect(time.now()).toEqual(near(clerk.now()))
      expect(time.offset()).toEqual(near(ahead))
      expect(time.isRight()).toBe(Math.abs(ahead) <= 300)
    },
  )

  it('costs one request to Clerk, and another one only after a jump of the clock or a sleep of the computer', async () => {
    const { own, clerk, time, asked, pass } = newWorld({ ahead: 4 })
    await time.settle()
    pass(DAY)
    await time.settle()
    expect(asked()).toBe(1)
    own.setBack(200)
    await time.settle()
    expect({ asked: asked(), isRight: time.isRight() }).toEqual({ asked: 2, isRight: true })
    for (const clock of [own, clerk]) clock.sleep(DAY)
    await time.settle()
    expect({ asked: asked(), isRight: time.isRight() }).toEqual({ asked: 3, isRight: true })
    expect(time.now()).toEqual(near(clerk.now()))
  })

  it.each([-2 * DAY, -250, 250, 2 * DAY])(
    'is asked for again every ten seconds while the computer’s clock is %i s ahead: Clerk’s may be the wrong one',
    async (ahead) => {
      const { own, clerk, time, asked, pass } = newWorld({ ahead })
      for (let second = 0; second < 20; second++) {
        await time.settle()
        pass(1)
      }
      expect(asked()).toBe(2)
      clerk.setBack(-ahead)
      await time.settle()
      expect(time.now()).toBe(own.now())
      expect(time.isRight()).toBe(true)
    },
  )

  it.each<[string, Partial<ClerkResponse>]>([
    ['fails', { status: 503 }],
    ['states no date', { date: undefined }],
  ])('is then asked for as seldom if the answer %s, however many requests wait for it', async (_name, over) => {
    const { own, time, answer, asked, pass } = newWorld({ ahead: -2 * DAY })
    await time.settle()
    answer(over)
    pass(10)
    for (let second = 0; second < 20; second++) {
      for (let n = 0; n < 50; n++) await time.settle()
      pass(1)
    }
    expect(asked()).toBe(3)
    answer({})
    own.setBack(-DAY)
    await time.settle() // a jump is not a recheck: it waits for no time to pass
    expect(time.offset()).toEqual(near(-DAY))
  })

  it.each([
    { name: 'keeps `Date`', ahead: 0, keptSeconds: 3600 },
    { name: 'keeps `Date`, and the clock is wrong', ahead: 2 * DAY, keptSeconds: 3600 },
    { name: 'renews `Date`', ahead: 0, keptSeconds: 0 },
  ])('is Clerk’s although a cache answers that $name', async ({ ahead, keptSeconds }) => {
    const { clerk, time, answer } = newWorld({ ahead })
    answer({ date: Math.floor(clerk.now()) - keptSeconds, ageSeconds: 3600 })
    await time.settle()
    expect(time.now()).toEqual(near(clerk.now()))
    expect(time.isRight()).toBe(ahead === 0)
  })

  it.each<[string, Partial<ClerkResponse>]>([
    ['is no number', { date: Number.NaN }],
    ['is in milliseconds', { date: Date.now() }],
    ['is negative', { date: -1 }],
    ['is that of an answer that a cache has kept for longer than a day', { ageSeconds: 999_999 }],
    ['has an age that is no number', { ageSeconds: Number.NaN }],
  ])('is not read from a date that %s, and stays as it was', async (_name, over) => {
    const fresh = newWorld()
    fresh.answer(over)
    await expect(fresh.time.settle()).rejects.toMatchObject({ reason: 'clock_unknown' })
    const { own, time, answer, pass } = newWorld({ ahead: 20 })
    await time.settle()
    answer(over)
    pass(10)
    await time.settle()
    expect(time.now()).toEqual(near(own.now() - 20))
  })

  it('does not become less precise by a slow answer, and is not read from one during which the computer slept', async () => {
    const { own, time, observe, asked } = newWorld()
    await time.settle()
    const before = time.offset()
    await observe((clock) => clock.advance(50), own.now())
    expect(time.offset()).toBe(before)
    await observe((clock) => clock.sleep(DAY), own.now())
    expect(time.offset()).toBe(DAY)
    await time.settle()
    expect(asked()).toBe(2)
  })

  it('reports once when the clocks begin to disagree, and once when they agree again', async () => {
    const { own, time, changes, pass } = newWorld()
    for (const jump of [0, -400, 0, 0, 400, 0]) {
      own.setBack(jump)
      pass(60)
      await time.settle()
    }
    expect(changes).toEqual([
      { isRight: false, offset: 400 },
      { isRight: true, offset: 0 },
    ])
  })

  it.each<[string, Partial<ClerkResponse>]>([
    ['states no date', { date: undefined }],
    ['is not Clerk’s own', { status: 502 }],
    ['is a refusal', { status: 403 }],
  ])('is unknown if the answer %s, and Clerk is asked again after a second at the earliest', async (_name, over) => {
    const { time, answer, asked, pass } = newWorld()
    answer(over)
    const unknown = { kind: 'temporarily_unavailable', reason: 'clock_unknown' }
    await expect(time.settle()).rejects.toMatchObject(unknown)
    await expect(time.settle()).rejects.toMatchObject(unknown)
    expect({ asked: asked(), isRight: time.isRight() }).toEqual({ asked: 1, isRight: false })
    pass(1)
    answer({})
    await time.settle()
    expect(time.isRight()).toBe(true)
  })
})

describe('a refusal by time', () => {
  const outdatedAt = (at: number) => new OutdatedError('sealed_expired', at)
  const undecided = { kind: 'temporarily_unavailable', reason: 'clock_wrong', retryAfterSeconds: 60 }

  it('stands while the clocks agree', async () => {
    const { time } = newWorld({ ahead: 200 })
    await time.settle()
    const outdated = outdatedAt(time.now())
    expect(time.judge(outdated)).toBe(outdated)
  })

  it('by a wrong time is none, although Clerk has set the time right before the answer', async () => {
    const { clerk, time, pass } = newWorld()
    clerk.setBack(-40 * DAY)
    await time.settle()
    const outdated = outdatedAt(time.now())
    clerk.setBack(40 * DAY)
    pass(10)
    await time.settle()
    expect(time.isRight()).toBe(true)
    expect(time.judge(outdated)).toMatchObject(undecided)
  })

  it('is none while the clocks disagree, or Clerk’s time is unknown; any other refusal stands', async () => {
    const { time } = newWorld({ ahead: -301 })
    expect(time.judge(outdatedAt(time.now()))).toMatchObject(undecided)
    await time.settle()
    expect(time.judge(outdatedAt(time.now()))).toMatchObject(undecided)
    const ended = new BrokerError('invalid_grant', 'session_ended')
    expect(time.judge(ended)).toBe(ended)
  })
})
