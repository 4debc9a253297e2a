// The status as text for a person.
import { describe, expect, it } from 'vitest'
import { describeStatus } from '../../src/cli/status-text.ts'
import type { Status } from '../../src/rpc/contract.ts'

const NOW = 1_800_000_000
const STATUS: Status = {
  profile: 'production',
  state: 'signed_in',
  user: { id: 'user_1', email: 'ada@example.com', name: 'Ada' },
  organization: null,
  sessionId: null,
  tokenExpiresAt: NOW + 60,
  sessionExpiresAt: null,
  authorizationUrl: null,
  deviceAuthorization: null,
  refresh: { lastAt: null, lastError: null },
  signIn: null,
  store: { persisted: true, keyProtection: 'keyfile' },
  daemon: { version: '1.0.0', commit: null, pid: 1, uptimeSeconds: 5 },
}
const line = (name: string, status: Status) =>
  describeStatus(status, NOW)
    .split('\n')
    .find((one) => one.startsWith(name))

describe('the place of the session', () => {
  const signedOut = { ...STATUS, state: 'signed_out', user: null, tokenExpiresAt: null } as const
  it.each([
    ['signed in', STATUS, 'on disk, encrypted'],
    ['signed in and not saved', { ...STATUS, store: { persisted: false, keyProtection: 'keyfile' } }, 'in memory only'],
    ['signed in, and another sign-in runs', { ...STATUS, state: 'signing_in' }, 'on disk, encrypted'],
    ['signed out', signedOut, 'no session'],
    ['signed out, and a sign-in runs', { ...signedOut, state: 'signing_in' }, 'no session'],
  ] as const)('%s', (_name, status, expected) => {
    expect(line('stored', status)).toBe(`stored     ${expected}; key: keyfile`)
  })
})

describe('the organization', () => {
  it.each([
    [{ id: 'org_1', slug: 'acme', role: 'admin' }, 'org        acme (org_1), admin'],
    [{ id: 'org_1', slug: null, role: null }, 'org        org_1'],
  ])('%j is in a line of its own', (organization, expected) => {
    expect(line('org', { ...STATUS, organization })).toBe(expected)
  })

  it('has no line if the user is active in none, or the daemon is of version 1.0', () => {
    const { organization: _, ...old } = STATUS
    expect(line('org', STATUS)).toBeUndefined()
    expect(line('org', old as Status)).toBeUndefined()
  })
})

describe('the token', () => {
  it('is no error if it has expired while the daemon was idle', () => {
    expect(line('token', { ...STATUS, tokenExpiresAt: NOW - 300 })).toBe(
      'token      expired 5 min ago; the daemon refreshes it at the next request',
    )
  })
})

describe('a failed sign-in', () => {
  it.each([
    ['access_denied', 'it was declined in the browser (access_denied)'],
    ['timeout', 'it timed out (timeout)'],
    ['rate_limited', 'rate_limited'],
  ])('is shown with its reason %s', (lastError, reason) => {
    expect(line('sign-in', { ...STATUS, signIn: { lastError, at: NOW - 90 } })).toBe(
      `sign-in    failed 90 s ago: ${reason}`,
    )
  })

  it('is not shown during the next one, nor by a daemon of version 1.0', () => {
    const { signIn: _, ...old } = STATUS
    expect(
      line('sign-in', { ...STATUS, state: 'signing_in', signIn: { lastError: 'timeout', at: NOW } }),
    ).toBeUndefined()
    expect(line('sign-in', old as Status)).toBeUndefined()
  })
})
