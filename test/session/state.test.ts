// What a caller may be given in each state: a table over states and remaining lifetimes.
import { describe, expect, it } from 'vitest'
import { isSameStorage, readHeader, SAVED, type State, signedIn } from '../../src/session/state.ts'
import type { Instant } from '../../src/session/token-lifetime.ts'
import type { Session } from '../../src/store/session.ts'
import { newSession } from '../support/session.ts'

const START: Instant = { wall: 1_800_000_000, monotonic: 1000 }
const LIFETIME = 60

const after = (seconds: number): Instant => ({ wall: START.wall + seconds, monotonic: START.monotonic + seconds })

const state = (change: Partial<Session> = {}, renewable = true): State =>
  signedIn(newSession({ accessToken: { value: 'token', receivedAt: START.wall, lifetime: LIFETIME }, ...change }), {
    renewable,
    storage: SAVED,
    now: START,
  })

const SIGNED_IN = state()
const INTERRUPTED = state({ refreshing: true })
const FINAL = state({ refreshToken: null }, false)
const FIRST_REFRESH_DUE = state({ refreshToken: null }) // a hand-off whose broker has not been asked yet

describe('readHeader', () => {
  it.each<[string, State, seconds: number, minValidity: number, kind: string]>([
    ['unloaded', { kind: 'unloaded' }, 0, 10, 'unloaded'],
    ['signed out', { kind: 'signed_out', reason: 'session_revoked' }, 0, 10, 'sign_in'],
    ['fresh', SIGNED_IN, 0, 10, 'valid'],
    ['at four fifths of the life', SIGNED_IN, 48, 10, 'valid'],
    ['just after four fifths of the life', SIGNED_IN, 48.5, 10, 'ageing'],
    ['with exactly the validity asked for', SIGNED_IN, 50, 10, 'ageing'],
    ['with less than the validity asked for', SIGNED_IN, 51, 10, 'must_refresh'],
    ['asked for no validity at all', SIGNED_IN, 59, 0, 'ageing'],
    ['asked for more than a token ever has, before half its life', SIGNED_IN, 30, 3600, 'valid'],
    ['asked for more than a token ever has, after half its life', SIGNED_IN, 31, 3600, 'must_refresh'],
    ['at its end', SIGNED_IN, 60, 0, 'must_refresh'],
    ['long after its end', SIGNED_IN, 1e6, 0, 'must_refresh'],
    ['interrupted', INTERRUPTED, 0, 10, 'ageing'],
    ['interrupted and expired', INTERRUPTED, 60, 10, 'must_refresh'],
    ['not renewable, with one second left', FINAL, 59, 10, 'valid'],
    ['not renewable, at its end', FINAL, 60, 10, 'expired'],
    ['before the broker’s first refresh', FIRST_REFRESH_DUE, 51, 10, 'must_refresh'],
    ['before the broker’s first refresh, at its end', FIRST_REFRESH_DUE, 60, 10, 'expired'],
  ])('%s', (_name, given, seconds, minValidity, kind) => {
    const reading = readHeader(given, minValidity, after(seconds))
    expect(reading.kind).toBe(kind)
    if (given.kind === 'signed_in' && 'header' in reading) expect(reading.header).toBe(given.header)
    if (given.kind === 'signed_out') expect(reading).toEqual({ kind: 'sign_in', reason: given.reason })
  })

  it.each([
    ['wall', { wall: START.wall + 61, monotonic: START.monotonic }],
    ['monotonic', { wall: START.wall, monotonic: START.monotonic + 61 }],
  ])('lets the token expire by the %s clock alone', (_name, now) => {
    expect(readHeader(SIGNED_IN, 0, now).kind).toBe('must_refresh')
  })
})

describe('signedIn', () => {
  it('carries the header, its expiry in whole Unix seconds, and an interrupted refresh', () => {
    const accessToken = { value: 'abc', receivedAt: START.wall + 0.9, lifetime: 60 }
    expect(state({ accessToken, refreshing: true })).toMatchObject({
      header: { headers: { Authorization: 'Bearer abc' }, expiresAt: START.wall + 60 },
      interrupted: true,
    })
    expect(SIGNED_IN).toMatchObject({ interrupted: false, renewable: true, storage: { kind: 'saved' } })
  })
})

describe('refreshAt', () => {
  it.each([
    ['four fifths of the life', SIGNED_IN, START.wall + 48],
    ['the end of a token that nothing can refresh', FINAL, START.wall + 60],
    ['now, if an answer may be lost', INTERRUPTED, START.wall],
  ])('is %s', (_name, given, expected) => {
    expect(given).toMatchObject({ header: { refreshAt: expected } })
  })
})

describe('isSameStorage', () => {
  const full = { kind: 'unsaved', problem: 'disk_full' } as const
  it.each([
    [SAVED, SAVED, true],
    [SAVED, full, false],
    [full, SAVED, false],
    [full, full, true],
    [full, { kind: 'unsaved', problem: 'read_only' } as const, false],
  ])('compares %j and %j', (a, b, same) => {
    expect(isSameStorage(a, b)).toBe(same)
  })
})
