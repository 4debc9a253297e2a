// What can go wrong with Clerk, by what it means for the session. Nothing of an answer is kept but a code from a closed list.

export type UnavailableReason = 'network' | 'server' | 'rate_limited'

/** The provider could not be asked, or gave no answer that makes sense. The session is as good as before. */
export class UnavailableError extends Error {
  constructor(
    readonly reason: UnavailableReason,
    readonly retryAfterSeconds?: number,
  ) {
    super(`the provider is unavailable: ${reason}`)
    this.name = 'UnavailableError'
  }
}

export type EndedReason = 'session_expired' | 'session_revoked'

/** The provider says that the session is over: a person must sign in. */
export class SessionEndedError extends Error {
  constructor(readonly reason: EndedReason) {
    super(`the session has ended: ${reason}`)
    this.name = 'SessionEndedError'
  }
}

const REJECTIONS = [
  'invalid_client',
  'invalid_request',
  'invalid_scope',
  'unauthorized_client',
  'unsupported_grant_type',
  'unsupported_response_type',
  'invalid_target',
  'redirect_uri_mismatch',
  'unsafe_metadata',
  'issuer_mismatch',
  'pkce_unsupported',
  'no_refresh_token',
  'rejected',
] as const

export type RejectedReason = (typeof REJECTIONS)[number]

/** The provider refuses this client or request: the set-up is wrong, and signing in again would not help. */
export class RejectedError extends Error {
  constructor(readonly reason: RejectedReason) {
    super(`the provider rejected the request: ${reason}`)
    this.name = 'RejectedError'
  }
}

/** A provider's error code, if it is one that we know; a text from outside is never passed on. */
export function rejectedReason(code: string): RejectedReason {
  return REJECTIONS.find((known) => known === code) ?? 'rejected'
}

export type SignInReason = 'cancelled' | 'access_denied' | 'timeout' | 'browser' | 'invalid_response'

/** This sign-in has failed; a session from before is untouched. */
export class SignInError extends Error {
  constructor(readonly reason: SignInReason) {
    super(`sign-in failed: ${reason}`)
    this.name = 'SignInError'
  }
}

export type RefusedReason = 'incomplete' | 'forged' | 'expired' | 'foreign' | 'mismatched' | 'unfinished' | 'unchecked'

/** What came back to the callback is not what was waited for. Nothing has changed, and the sign-in goes on waiting. */
export class CallbackRefusedError extends Error {
  constructor(readonly reason: RefusedReason) {
    super(`the callback was refused: ${reason}`)
    this.name = 'CallbackRefusedError'
  }
}
