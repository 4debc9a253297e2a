// What a profile's status says, derived from its state. Pure, and without a secret.
import { displayText } from '../clerk/display-text.ts'
import type { Status } from '../rpc/contract.ts'
import type { KeyProtection } from '../store/key.ts'
import type { User } from '../store/session.ts'
import type { State } from './state.ts'

export type ProfileStatus = Omit<Status, 'daemon'>

export interface StatusParts {
  readonly profile: string
  readonly state: State
  /** Whether the token has expired and nothing can refresh it: the profile is signed out, though that is not yet applied. */
  readonly isOver: boolean
  /** The sign-in under way. */
  readonly signIn: Pick<Status, 'authorizationUrl' | 'deviceAuthorization'> | undefined
  readonly refresh: Status['refresh']
  /** Why the last sign-in failed, and when in Unix seconds; null if it succeeded. */
  readonly lastSignIn: Status['signIn']
  readonly keyProtection: KeyProtection | null
}

export function describeStatus(parts: StatusParts): ProfileStatus {
  const { profile, state, isOver, signIn, refresh, lastSignIn, keyProtection } = parts
  const signedIn = state.kind === 'signed_in' && !isOver ? state : undefined
  const problem = signedIn?.storage.kind === 'unsaved' ? signedIn.storage.problem : null
  const resting = signedIn ? 'signed_in' : 'signed_out'
  return {
    profile,
    state: signIn ? 'signing_in' : resting,
    user: signedIn ? shownUser(signedIn.session.user) : null,
    organization: signedIn?.session.organization ?? null,
    sessionId: signedIn?.session.sessionId ?? null,
    tokenExpiresAt: signedIn?.header.expiresAt ?? null,
    sessionExpiresAt: signedIn?.session.sessionExpiresAt ?? null,
    authorizationUrl: signIn?.authorizationUrl ?? null,
    deviceAuthorization: signIn?.deviceAuthorization ?? null,
    refresh: { lastAt: refresh.lastAt, lastError: refresh.lastError ?? problem },
    signIn: lastSignIn,
    store: { persisted: problem === null && state.kind !== 'unloaded', keyProtection },
  }
}

/** Version 1.0 saved names as an OAuth provider had sent them. */
function shownUser({ id, email, name }: User): User {
  return { id, email: displayText(email), name: displayText(name) }
}
