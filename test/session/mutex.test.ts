// One action at a time, in the order of arrival, whatever the outcome of the one before.
import { expect, it } from 'vitest'
import { Mutex } from '../../src/session/mutex.ts'

it('runs actions one after another, also after a failure', async () => {
  const mutex = new Mutex()
  const seen: string[] = []
  const action = (name: string, fails = false) =>
    mutex.run(async () => {
      seen.push(`${name} starts`)
      await new Promise(setImmediate)
      seen.push(`${name} ends`)
      if (fails) throw new Error(name)
      return name
    })
  const outcomes = Promise.allSettled([action('a'), action('b', true), action('c')])
  await mutex.idle()
  expect(seen).toEqual(['a starts', 'a ends', 'b starts', 'b ends', 'c starts', 'c ends'])
  expect((await outcomes).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
})
