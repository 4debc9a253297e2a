// One attempt to sign in: its deadline, its one outcome, and what becomes of a grant that comes too late.
import { describe, expect, it } from 'vitest'
import { SignInError } from '../../src/clerk/errors.ts'
import type { Grant } from '../../src/clerk/identity-provider.ts'
import { Mutex } from '../../src/session/mutex.ts'
import { SignInAttempt } from '../../src/session/sign-in-attempt.ts'
import { SAVED, type SignedIn, signedIn } from '../../src/session/state.ts'
import { currentInstant } from '../../src/session/token-lifetime.ts'
import { TestClock } from '../support/clock.ts'
import { newSession } from '../support/session.ts'

function newAttempt({ save }: { save?: (grant: Grant) => Promise<SignedIn> } = {}) {
  const clock = new TestClock()
  const mutex = new Mutex()
  const events: string[] = []
  const retired: Grant[] = []
  const keep = async (grant: Grant) =>
    signedIn({ ...grant, generation: 1 }, { renewable: true, storage: SAVED, now: currentInstant(clock) })
  const attempt = new SignInAttempt(
    {
      clock,
      mutex,
      provider: { retire: async (session) => void retired.push(session) },
      save: save ?? keep,
      onSignedIn: () => void events.push('signed_in'),
    },
    () => void events.push('done'),
  )
  attempt.finished.catch(() => undefined)
  return { attempt, clock, mutex, events, retired, keep }
}

const { generation: _, ...grant } = newSession()
const timeout = { reason: 'timeout' }

describe('a sign-in attempt', () => {
  it('is started once the user can act, and done once the session is saved', async () => {
    const { attempt, events, retired } = newAttempt()
    attempt.start()
    await attempt.started
    expect(attempt.isDone).toBe(false)
    expect(await attempt.commit(grant)).toBe('signedIn')
    await attempt.finished
    expect(attempt.isDone).toBe(true)
    expect(events).toEqual(['done', 'signed_in'])
    expect(retired).toEqual([])
  })

  it('retires a second grant, and says how the first ended', async () => {
    const { attempt, retired } = newAttempt()
    attempt.start()
    await attempt.commit(grant)
    expect(await attempt.commit({ ...grant, refreshToken: 'second' })).toBe('signedIn')
    expect(retired).toMatchObject([{ refreshToken: 'second' }])
  })

  it('retires a grant that comes after a cancel', async () => {
    const { attempt, retired, events } = newAttempt()
    attempt.start()
    attempt.fail(new SignInError('cancelled'))
    attempt.fail(new SignInError('timeout')) // too late to change the reason
    expect(await attempt.commit(grant)).toBe('failed')
    expect(retired).toMatchObject([{ refreshToken: grant.refreshToken }])
    await expect(attempt.finished).rejects.toMatchObject({ reason: 'cancelled' })
    expect(events).toEqual(['done'])
  })

  it('tells those who wait for the link, too, that it failed', async () => {
    const { attempt } = newAttempt()
    attempt.fail(new SignInError('cancelled'))
    await expect(attempt.started).rejects.toMatchObject({ reason: 'cancelled' })
  })

  it('stays done if it is started after a cancel', async () => {
    const { attempt, retired } = newAttempt()
    attempt.fail(new SignInError('cancelled'))
    attempt.start()
    expect(attempt.isDone).toBe(true)
    expect(await attempt.commit(grant)).toBe('failed')
    expect(retired).toHaveLength(1)
  })

  it('decides inside the mutex whether the grant is still wanted', async () => {
    const { attempt, mutex, retired } = newAttempt()
    attempt.start()
    const logout = mutex.run(async () => attempt.fail(new SignInError('cancelled')))
    expect(await attempt.commit(grant)).toBe('failed')
    await logout
    expect(retired).toHaveLength(1)
  })

  it('lets a session that is being saved through a cancel and a timeout', async () => {
    const world = newAttempt({
      save: async (grant) => {
        world.attempt.fail(new SignInError('cancelled'))
        world.clock.advance(61)
        return await world.keep(grant)
      },
    })
    world.attempt.start()
    world.attempt.extend(60)
    expect(await world.attempt.commit(grant)).toBe('signedIn')
    await world.attempt.finished
  })

  it('retires the grant and tells the reason if the session cannot be saved', async () => {
    const { attempt, retired, events } = newAttempt({ save: () => Promise.reject(new Error('disk')) })
    attempt.start()
    expect(await attempt.commit(grant)).toBe('failed')
    await expect(attempt.finished).rejects.toThrow('disk')
    expect(retired).toHaveLength(1)
    expect(events).toEqual(['done'])
  })
})

describe('the deadline', () => {
  it('ends the attempt when its seconds have passed', async () => {
    const { attempt, clock } = newAttempt()
    attempt.extend(60)
    clock.advance(59)
    expect(attempt.isDone).toBe(false)
    clock.advance(1)
    await expect(attempt.finished).rejects.toMatchObject(timeout)
  })

  it('moves to the latest time that any caller gives the user, never to an earlier one', async () => {
    const { attempt, clock } = newAttempt()
    attempt.extend(60)
    clock.advance(30)
    attempt.extend(60)
    attempt.extend(10)
    clock.advance(59)
    expect(attempt.isDone).toBe(false)
    clock.advance(1)
    await expect(attempt.finished).rejects.toMatchObject(timeout)
  })

  it('starts no timer for an attempt that has ended', () => {
    const { attempt, clock, events } = newAttempt()
    attempt.extend(60)
    attempt.fail(new SignInError('cancelled'))
    attempt.extend(600)
    clock.advance(601)
    expect(events).toEqual(['done'])
  })
})
