// What each outcome of a refresh does to the session, the status, the log and the callers.
import { describe, expect, it } from 'vitest'
import { SessionEndedError, UnavailableError } from '../../src/clerk/errors.ts'
import { systemRandom } from '../../src/host/random.ts'
import { ProviderBackoff } from '../../src/session/provider-backoff.ts'
import { Refresher } from '../../src/session/refresher.ts'
import { newSession } from '../support/session.ts'
import { newSessionParts } from '../support/session-parts.ts'

async function newRefresher(saved = newSession()) {
  const world = await newSessionParts({ saved })
  const backoff = new ProviderBackoff(world.parts.clock, systemRandom)
  let done = 0
  const refresher = new Refresher({ ...world.parts, backoff, onRefreshed: () => void done++ })
  await world.load()
  world.logged.length = 0
  world.changes.length = 0
  return { ...world, ...world.parts, backoff, refresher, saved, done: () => done }
}

const unavailable = (retryAfterSeconds?: number) => async () => {
  throw new UnavailableError('server', retryAfterSeconds)
}

describe('a refresh that succeeds', () => {
  it('publishes the new session, says when in the status, and logs how long it took', async () => {
    const { refresher, provider, clock, current, logged, done } = await newRefresher()
    const { answer } = provider
    provider.answer = async (session) => {
      clock.advance(1.5)
      return await answer(session)
    }
    expect(refresher.status).toEqual({ lastAt: null, lastError: null })
    const header = await refresher.refresh()
    expect(header.headers.Authorization).toBe('Bearer token-1')
    expect(current.state).toMatchObject({ kind: 'signed_in', header, storage: { kind: 'saved' } })
    expect(refresher.status).toEqual({ lastAt: Math.floor(clock.now()), lastError: null })
    expect(logged).toEqual([['refreshed', { ms: 1500 }]])
    expect(done()).toBe(1)
  })

  it('is shared by all who ask while it runs, and not by the next', async () => {
    const { refresher, provider } = await newRefresher()
    const first = refresher.refresh()
    expect(refresher.running).toBe(first)
    expect(refresher.refresh()).toBe(first)
    await first
    expect(refresher.running).toBeUndefined()
    await refresher.refresh()
    expect(provider.refreshed).toHaveLength(2)
  })

  it('is logged as not saved, with the reason, if the disk is full by then, and the session is kept in memory', async () => {
    const { refresher, provider, disk, current, logged } = await newRefresher()
    const { answer } = provider
    provider.answer = async (session) => {
      disk.isFull = true
      return await answer(session)
    }
    await refresher.refresh()
    expect(current.state).toMatchObject({ kind: 'signed_in', storage: { kind: 'unsaved', problem: 'disk_full' } })
    expect(logged.map(([event]) => event)).toEqual(['not_saved', 'refreshed'])
    expect(logged[0]?.[1]).toEqual({ reason: 'disk_full' })
  })

  it('sends nothing if a sign-in was saved while it waited for the mutex', async () => {
    const { refresher, mutex, current, provider } = await newRefresher()
    const fresh = current.signedIn(newSession({ user: { id: 'user_2', email: null, name: null } }), { kind: 'saved' })
    const signIn = mutex.run(async () => current.publish(fresh))
    expect(await refresher.refresh()).toBe(fresh.header)
    await signIn
    expect(provider.refreshed).toEqual([])
  })
})

describe('a refresh that fails', () => {
  it('keeps the session, says why in the status, and logs the reason', async () => {
    const { refresher, provider, current, saved, logged } = await newRefresher()
    provider.answer = unavailable()
    await expect(refresher.refresh()).rejects.toMatchObject({ reason: 'server' })
    expect(current.state).toMatchObject({
      kind: 'signed_in',
      interrupted: false,
      session: { refreshToken: saved.refreshToken },
    })
    expect(refresher.status).toEqual({ lastAt: null, lastError: 'server' })
    expect(logged).toEqual([['refresh_failed', { reason: 'server' }]])
    refresher.clearLastError()
    expect(refresher.status).toEqual({ lastAt: null, lastError: null })
  })

  it('logs the cause of a network failure beside the reason', async () => {
    const { refresher, provider, logged } = await newRefresher()
    provider.answer = async () => {
      throw new UnavailableError('network', undefined, { cause: 'dns' })
    }
    await expect(refresher.refresh()).rejects.toBeInstanceOf(UnavailableError)
    expect(logged).toEqual([['refresh_failed', { reason: 'network', cause: 'dns' }]])
  })

  it('sends nothing more during the pause, and tells callers the seconds that are left', async () => {
    const { refresher, provider, clock } = await newRefresher()
    provider.answer = unavailable(30)
    await expect(refresher.refresh()).rejects.toBeInstanceOf(UnavailableError)
    clock.advance(10)
    const error: unknown = await refresher.refresh().catch((error: unknown) => error)
    expect(error).toBeInstanceOf(UnavailableError)
    expect((error as UnavailableError).retryAfterSeconds).toBeGreaterThanOrEqual(20)
    expect(provider.refreshed).toHaveLength(1)
  })

  it('gives the old header to a caller that does not insist as long as its token is valid, and then the error', async () => {
    const { refresher, provider, clock, current } = await newRefresher()
    provider.answer = unavailable()
    const state = current.requireSignedIn()
    expect(await refresher.refreshOrKeep()).toBe(state.header)
    clock.advance(61)
    await expect(refresher.refreshOrKeep()).rejects.toBeInstanceOf(UnavailableError)
  })

  it('signs out with the reason if the session has ended at the provider, and deletes the file', async () => {
    const { refresher, provider, current, openStore, changes } = await newRefresher()
    provider.answer = async () => {
      throw new SessionEndedError('session_revoked')
    }
    await expect(refresher.refresh()).rejects.toMatchObject({ reason: 'session_revoked' })
    expect(current.state).toEqual({ kind: 'signed_out', reason: 'session_revoked' })
    expect(refresher.status.lastError).toBe('session_revoked')
    expect(changes).toEqual(['signed_out'])
    expect(await openStore().load()).toBeUndefined()
    await expect(refresher.refreshOrKeep()).rejects.toMatchObject({ reason: 'session_revoked' })
  })

  it('signs out locally, without a request, if the user has deleted the file', async () => {
    const { refresher, provider, current, deleteFile, logged } = await newRefresher()
    await deleteFile()
    await expect(refresher.refresh()).rejects.toMatchObject({ reason: 'signed_out' })
    expect(current.state).toEqual({ kind: 'signed_out', reason: 'signed_out' })
    expect(logged).toEqual([
      ['session_deleted', undefined],
      ['refresh_failed', { reason: 'signed_out' }],
    ])
    expect(provider.refreshed).toEqual([])
  })

  it('sends nothing if the mark cannot be written, and keeps the session as it is on disk', async () => {
    const { refresher, provider, disk, current, saved } = await newRefresher()
    disk.isFull = true
    await expect(refresher.refresh()).rejects.toMatchObject({ code: 'disk_full' })
    expect(provider.refreshed).toEqual([])
    expect(current.state).toMatchObject({ kind: 'signed_in', session: saved, storage: { kind: 'saved' } })
    expect(refresher.status.lastError).toBe('disk_full')
  })

  it('counts a token that expired on arrival as a failure of the provider, and keeps the new refresh token', async () => {
    const { refresher, provider, current, clock, openStore } = await newRefresher()
    provider.answer = async () => ({
      accessToken: { value: 'late', receivedAt: clock.now(), lifetime: 0 },
      refreshToken: 'refresh-new',
    })
    await expect(refresher.refresh()).rejects.toMatchObject({ reason: 'server' })
    expect(current.state).toMatchObject({ kind: 'signed_in', session: { refreshToken: 'refresh-new' } })
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-new' })
  })
})

describe('a refresh that finds a newer session on disk', () => {
  const newerThan = (session: ReturnType<typeof newSession>, receivedAt: number) => ({
    ...session,
    generation: 7,
    refreshToken: 'theirs',
    accessToken: { value: 'their-token', receivedAt, lifetime: 60 },
  })

  it('answers with its header, sends nothing, and forgets the last failure', async () => {
    const { refresher, provider, openStore, saved, clock, logged } = await newRefresher()
    provider.answer = unavailable()
    await expect(refresher.refresh()).rejects.toBeInstanceOf(UnavailableError)
    clock.advance(2)
    await openStore().save(newerThan(saved, clock.now()))
    logged.length = 0
    expect((await refresher.refresh()).headers.Authorization).toBe('Bearer their-token')
    expect(provider.refreshed).toHaveLength(1)
    expect(refresher.status.lastError).toBeNull()
    expect(logged).toEqual([])
  })

  it('refreshes that session if its token is stale', async () => {
    const { refresher, provider, openStore, saved, clock } = await newRefresher()
    clock.advance(100)
    await openStore().save(newerThan(saved, clock.now() - 55))
    expect((await refresher.refresh()).headers.Authorization).toBe('Bearer token-1')
    expect(provider.refreshed.map(({ refreshToken }) => refreshToken)).toEqual(['theirs'])
  })
})

describe('a refresh in the background', () => {
  it('runs once, and its failure reaches no caller', async () => {
    const { refresher, provider } = await newRefresher()
    provider.answer = unavailable()
    refresher.refreshInBackground()
    const { running } = refresher
    refresher.refreshInBackground()
    expect(refresher.running).toBe(running)
    await expect(running).rejects.toBeInstanceOf(UnavailableError)
    expect(provider.refreshed).toHaveLength(1)
  })

  it('does not start while the provider is given a rest', async () => {
    const { refresher, provider } = await newRefresher()
    provider.answer = unavailable(30)
    await expect(refresher.refresh()).rejects.toBeInstanceOf(UnavailableError)
    refresher.refreshInBackground()
    expect(refresher.running).toBeUndefined()
  })

  it('does not start while the disk is given a rest', async () => {
    const { refresher, disk } = await newRefresher()
    disk.isFull = true
    await expect(refresher.refresh()).rejects.toMatchObject({ code: 'disk_full' })
    refresher.refreshInBackground()
    expect(refresher.running).toBeUndefined()
  })

  it('does not start once the daemon stops, and a call is refused without a request', async () => {
    const { refresher, provider, current } = await newRefresher()
    refresher.stop()
    refresher.refreshInBackground()
    expect(refresher.running).toBeUndefined()
    await expect(refresher.refresh()).rejects.toMatchObject({ name: 'ShuttingDownError' })
    expect(provider.refreshed).toEqual([])
    expect(current.state.kind).toBe('signed_in')
  })
})
