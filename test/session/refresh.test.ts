// The outcomes of one refresh, on a real store: what was sent, what is on disk, and what the caller is told.

import { rm } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { SessionEndedError, UnavailableError } from '../../src/clerk/errors.ts'
import type { Renewal } from '../../src/clerk/identity-provider.ts'
import { refreshSession } from '../../src/session/refresh.ts'
import { SAVED, signedIn } from '../../src/session/state.ts'
import { currentInstant } from '../../src/session/token-lifetime.ts'
import type { Session } from '../../src/store/session.ts'
import { newSession } from '../support/session.ts'
import { newSessionParts } from '../support/session-parts.ts'

const NOW = 1_800_000_000
const renewal: Renewal = {
  accessToken: { value: 'next', receivedAt: NOW, lifetime: 60 },
  refreshToken: 'refresh-1',
}

async function setUp(answer?: (session: Session) => Promise<Renewal>) {
  const session = newSession({
    refreshToken: 'refresh-0',
    accessToken: { value: 'saved', receivedAt: NOW, lifetime: 60 },
  })
  const { parts, load, disk, openStore, path } = await newSessionParts({ saved: session })
  const { provider, writer, clock } = parts
  provider.answer = answer ?? (async () => renewal)
  await load()
  const state = signedIn(session, { renewable: true, storage: SAVED, now: currentInstant(clock) })
  const refresh = () => refreshSession(state, { provider, writer, clock })
  return { refresh, sent: provider.refreshed, session, disk, clock, openStore, writer, path }
}

const newer: Partial<Session> = {
  generation: 9,
  refreshToken: 'refresh-9',
  accessToken: { value: 'theirs', receivedAt: NOW + 1, lifetime: 60 },
}

describe('refreshSession', () => {
  it('returns `refreshed` with the successor, which is on disk without the mark', async () => {
    const { refresh, sent, session, openStore } = await setUp()
    const next = { ...session, ...renewal, generation: 2 }
    expect(await refresh()).toEqual({ kind: 'refreshed', held: { session: next, storage: SAVED } })
    expect(sent).toEqual([{ ...session, refreshing: true }])
    expect(await openStore().load()).toEqual(next)
  })

  it('returns `unusable` for a token that expired on arrival, and saves its refresh token', async () => {
    const { refresh, openStore } = await setUp(async () => ({
      ...renewal,
      accessToken: { value: 'dead', receivedAt: NOW, lifetime: 0 },
    }))
    expect(await refresh()).toMatchObject({ kind: 'unusable', held: { session: { refreshToken: 'refresh-1' } } })
    expect(await openStore().load()).toMatchObject({ refreshToken: 'refresh-1' })
  })

  it('returns `superseded` and sends nothing if the file holds a later state', async () => {
    const { refresh, sent, session, openStore } = await setUp()
    await openStore().save({ ...session, ...newer })
    expect(await refresh()).toEqual({ kind: 'superseded', session: { ...session, ...newer } })
    expect(sent).toEqual([])
  })

  it('returns `superseded` if another daemon saved a later state while the provider rejected the token', async () => {
    const all = await setUp(async (session) => {
      const { refreshing: _, ...before } = session
      await all.openStore().save({ ...before, ...newer })
      throw new SessionEndedError('session_revoked')
    })
    expect(await all.refresh()).toMatchObject({ kind: 'superseded', session: newer })
    expect(await all.openStore().load()).toMatchObject(newer)
  })

  it('returns `ended` and deletes the file if the provider says that the session is over', async () => {
    const { refresh, openStore } = await setUp(() => Promise.reject(new SessionEndedError('session_expired')))
    expect(await refresh()).toEqual({ kind: 'ended', reason: 'session_expired' })
    expect(await openStore().load()).toBeUndefined()
  })

  it('returns `deleted` and sends nothing if the user deleted the file', async () => {
    const { refresh, sent, path } = await setUp()
    await rm(path)
    expect(await refresh()).toEqual({ kind: 'deleted' })
    expect(sent).toEqual([])
  })

  it('returns `not_sent` if the mark cannot be written while the token is valid', async () => {
    const { refresh, sent, session, disk, writer } = await setUp()
    disk.isFull = true
    expect(await refresh()).toMatchObject({
      kind: 'not_sent',
      held: { session, storage: SAVED },
      error: { code: 'disk_full' },
    })
    expect(sent).toEqual([])
    expect(writer.isResting).toBe(true)
  })

  it('sends without the mark if the token has expired, and keeps the successor in memory', async () => {
    const { refresh, sent, session, disk, clock } = await setUp(async () => ({
      ...renewal,
      accessToken: { value: 'next', receivedAt: NOW + 61, lifetime: 60 },
    }))
    disk.isFull = true
    clock.advance(61)
    expect(await refresh()).toMatchObject({
      kind: 'refreshed',
      held: { session: { generation: 2 }, storage: { kind: 'unsaved', problem: 'disk_full' } },
    })
    expect(sent).toEqual([session])
  })

  it('returns `failed` with the marked session if the provider gives no token', async () => {
    const error = new UnavailableError('server')
    const { refresh, session, openStore } = await setUp(() => Promise.reject(error))
    const marked: Session = { ...session, refreshing: true }
    expect(await refresh()).toEqual({ kind: 'failed', held: { session: marked, storage: SAVED }, error })
    expect(await openStore().load()).toEqual(marked)
  })
})
