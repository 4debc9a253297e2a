// The failures of Clerk and its broker, by what they mean for the session. Of a response, only a code from a closed list is kept.

import type { NetworkFailure } from '../host/network-failure.ts'

export type UnavailableReason = 'network' | 'server' | 'rate_limited'

/** The provider was not reached, or its response makes no sense. The session is as good as before. */
export class UnavailableError extends Error {
  constructor(
    readonly reason: UnavailableReason,
    readonly retryAfterSeconds?: number,
    /** Why, as far as it is known. */
    readonly failure?: NetworkFailure,
  ) {
    super(`the provider is unavailable: ${reason}`)
    this.name = 'UnavailableError'
  }
}

export type EndedReason = 'session_expired' | 'session_revoked'

/** The provider says that the session is over: the user must sign in again. */
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
  'invalid_dpop_proof',
  'redirect_uri_mismatch',
  'unsafe_metadata',
  'issuer_mismatch',
  'pkce_unsupported',
  'no_refresh_token',
  'device_authorization_unsupported',
  'rejected',
] as const

export type RejectedReason = (typeof REJECTIONS)[number]

/** The provider refuses this client or request: the configuration is wrong, and signing in again would not help. */
export class RejectedError extends Error {
  constructor(readonly reason: RejectedReason) {
    super(`the provider rejected the request: ${reason}`)
    this.name = 'RejectedError'
  }
}

/** The reason for a provider's error code; `rejected` for an unknown one, since a text from outside is never passed on. */
export function rejectedReason(code: string): RejectedReason {
  return REJECTIONS.find((known) => known === code) ?? 'rejected'
}

export type SignInReason = 'cancelled' | 'access_denied' | 'timeout' | 'browser' | 'invalid_response'

/** The sign-in has failed. An earlier session is not affected. */
export class SignInError extends Error {
  constructor(readonly reason: SignInReason) {
    super(`sign-in failed: ${reason}`)
    this.name = 'SignInError'
  }
}

export type RefusedReason =
  | 'incomplete'
  | 'forged'
  | 'expired'
  | 'wrong_audience'
  | 'mismatched'
  | 'pending'
  | 'unverified'

/** A callback does not belong to this sign-in, or proves nothing. Nothing has changed, and the sign-in keeps waiting. */
export class CallbackRefusedError extends Error {
  constructor(readonly reason: RefusedReason) {
    super(`the callback was refused: ${reason}`)
    this.name = 'CallbackRefusedError'
  }
}
