// A promise with a timeout, against a clock that the test moves.
import { expect, test } from 'vitest'
import { withTimeout } from '../../src/host/timeout.ts'
import { TestClock } from '../support/clock.ts'

const tooLate = () => new Error('too late')
const pending = () => new Promise<never>(() => undefined)

test('resolves with the value of a promise that settles in time', async () => {
  expect(await withTimeout(new TestClock(), 5, Promise.resolve('value'), tooLate)).toBe('value')
})

test('rejects with the error of a promise that fails in time', async () => {
  const failed = Promise.reject(new Error('failed'))
  await expect(withTimeout(new TestClock(), 5, failed, tooLate)).rejects.toThrow('failed')
})

test('rejects with the timeout error exactly when the time is over', async () => {
  const clock = new TestClock()
  let isOver = false
  const result = withTimeout(clock, 5, pending(), () => {
    isOver = true
    return tooLate()
  })
  clock.advance(4.999)
  expect(isOver).toBe(false)
  clock.advance(0.001)
  await expect(result).rejects.toThrow('too late')
})

test('stops its timer when the promise settles', async () => {
  const clock = new TestClock()
  let timeouts = 0
  const count = () => {
    timeouts += 1
    return tooLate()
  }
  await withTimeout(clock, 5, Promise.resolve(), count)
  await withTimeout(clock, 5, Promise.reject(new Error('failed')), count).catch(() => undefined)
  clock.advance(10)
  expect(timeouts).toBe(0)
})

test('leaves no unhandled rejection when the promise fails after the timeout', async () => {
  const clock = new TestClock()
  const unhandled: unknown[] = []
  const note = (error: unknown) => void unhandled.push(error)
  process.on('unhandledRejection', note)
  let fail: (error: Error) => void = () => undefined
  const late = new Promise<never>((_resolve, reject) => {
    fail = reject
  })
  const result = withTimeout(clock, 5, late, tooLate)
  clock.advance(5)
  await expect(result).rejects.toThrow('too late')
  fail(new Error('failed late'))
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})
