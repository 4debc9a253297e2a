// Why a sign-in at the OAuth provider has failed.
import { AuthorizationResponseError } from 'openid-client'
import { RejectedError, rejectedReason, SessionEndedError, SignInError, UnavailableError } from './errors.ts'
import type { ResponseWatch } from './response-watch.ts'

/** @param error what the grant threw @param watch saw the responses of this sign-in alone */
export function signInFailure(error: unknown, watch: ResponseWatch): Error {
  if (error instanceof RejectedError || error instanceof SignInError || error instanceof UnavailableError) return error
  if (error instanceof AuthorizationResponseError) {
    if (error.error === 'access_denied') return new SignInError('access_denied')
    if (error.error === 'server_error' || error.error === 'temporarily_unavailable')
      return new UnavailableError('server')
    return new RejectedError(rejectedReason(error.error))
  }
  if (!watch.hasSentRequest) return new SignInError('invalid_response') // the callback itself is not valid
  const failure = watch.failure()
  if (failure instanceof UnavailableError && failure.failure?.cause === 'captive_portal') return failure // a page with status 200
  // Here `invalid_grant` concerns the code, not a session; a complete response that proves nothing is not an outage.
  if (failure instanceof SessionEndedError || watch.hasSucceeded) return new SignInError('invalid_response')
  return failure
}
