// The status of a session as text for a person.
import type { Status } from '../rpc/contract.ts'
import { describeSpan, describeTime } from './terminal.ts'

const STATES = { signed_out: 'signed out', signing_in: 'signing in', signed_in: 'signed in' } as const

/** What a user is told if the daemon has ended while a session was in memory only. */
export function unsavedText(profile: string): string {
  return `the session of ${profile} could not be saved on the disk, and may have ended with the daemon: free some space, run cadzero-auth status, and cadzero-auth login if it shows that you are signed out`
}

/** @param now Unix seconds */
export function describeStatus(status: Status, now: number): string {
  const { store, refresh, daemon } = status
  const place = store.persisted ? 'on disk, encrypted' : 'in memory only'
  const isSignedIn = status.tokenExpiresAt !== null // during a sign-in, the state does not say it
  const lines: [string, string][] = [
    ['profile', status.profile],
    ['state', STATES[status.state]],
    ['user', status.user ? `${describeUser(status)} (${status.user.id})` : '-'],
    ['token', describeToken(status, now)],
    ['session', describeTime(status.sessionExpiresAt, now, 'ends ')],
    ['refreshed', describeTime(refresh.lastAt, now)],
    ['stored', `${isSignedIn ? place : 'no session'}; key: ${store.keyProtection ?? 'unknown'}`],
    ['daemon', `${daemon.version}, process ${daemon.pid}, running for ${daemon.uptimeSeconds} s`],
  ]
  const { organization } = status
  // An earlier version of the daemon, which an update has left running, says nothing of organizations.
  if (organization) lines.splice(3, 0, ['org', describeOrganization(organization)])
  // Nor does it say why a sign-in has failed.
  if (status.signIn && status.state !== 'signing_in') lines.push(['sign-in', describeFailedSignIn(status.signIn, now)])
  if (refresh.lastError !== null) lines.push(['last error', refresh.lastError])
  if (status.authorizationUrl !== null) lines.push(['link', status.authorizationUrl])
  const { deviceAuthorization: device } = status
  if (device) lines.push(['code', `${device.userCode}, to enter at ${device.verificationUri}`])
  return describeFields(lines)
}

/** An idle daemon refreshes nothing, so that an expired token is no error. */
function describeToken({ tokenExpiresAt }: Status, now: number): string {
  if (tokenExpiresAt === null || tokenExpiresAt > now) return describeTime(tokenExpiresAt, now, 'expires ')
  return `expired ${describeSpan(Math.round(now - tokenExpiresAt))} ago; the daemon refreshes it at the next request`
}

const SIGN_IN_FAILURES: Readonly<Record<string, string>> = {
  access_denied: 'it was declined in the browser',
  browser: 'no browser could be opened',
  cancelled: 'it was cancelled',
  invalid_response: 'the response of the provider proves no sign-in',
  timeout: 'it timed out',
}

function describeFailedSignIn({ lastError, at }: NonNullable<Status['signIn']>, now: number): string {
  const words = SIGN_IN_FAILURES[lastError]
  const reason = words === undefined ? lastError : `${words} (${lastError})`
  return `failed ${describeSpan(Math.max(0, Math.round(now - at)))} ago: ${reason}`
}

function describeOrganization({ id, slug, role }: NonNullable<Status['organization']>): string {
  const name = slug === null ? id : `${slug} (${id})`
  return role === null ? name : `${name}, ${role}`
}

/** The column of the values. */
export const VALUE_COLUMN = 11

/** `name  value` lines, with the values in one column. */
export function describeFields(fields: readonly (readonly [string, string])[]): string {
  return fields.map(([name, value]) => `${name.padEnd(VALUE_COLUMN)}${value}`).join('\n')
}

export function describeUser({ user }: Pick<Status, 'user'>): string {
  if (!user) return 'an unknown user'
  const known = [user.name, user.email].filter((text) => text !== null)
  return known.length === 2 ? `${known[0]} <${known[1]}>` : (known[0] ?? user.id)
}
