// Maps failures of Clerk's SDK to the broker's answers. Only a session or a user that Clerk rejects is the client's fault.
import { isClerkAPIResponseError, TokenVerificationError, TokenVerificationErrorReason } from '@clerk/backend/errors'
import { BrokerError } from './errors.ts'

const { RemoteJWKFailedToLoad, RemoteJWKInvalid, JWKFailedToResolve, InvalidSecretKey } = TokenVerificationErrorReason
const JWKS_UNAVAILABLE = [RemoteJWKFailedToLoad, RemoteJWKInvalid, JWKFailedToResolve]
const USER_BLOCKED = ['user_banned', 'user_deactivated', 'deprovisioned', 'user_locked']

/** Clerk answered with a 4xx status, whose meaning depends on the request. */
export class ClerkRejection extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
  ) {
    super('Clerk rejected the request')
    this.name = 'ClerkRejection'
  }
}

/** What a failed call of the SDK means, as far as that does not depend on the request. */
export function fromSdkError(error: unknown): BrokerError | ClerkRejection {
  if (error instanceof BrokerError) return error
  if (error instanceof TokenVerificationError) return fromVerificationError(error.reason)
  if (!isClerkAPIResponseError(error)) return new BrokerError('temporarily_unavailable', 'sdk_error')
  const { status, retryAfter } = error
  // The SDK reports no status if the connection failed or it could not read the answer.
  if (status === undefined) return new BrokerError('temporarily_unavailable', 'network')
  if (status === 429) return new BrokerError('rate_limited', 'clerk_429', retryAfter)
  if (status === 408 || status >= 500) return new BrokerError('temporarily_unavailable', 'clerk_5xx', retryAfter)
  return new ClerkRejection(status, error.errors[0]?.code ?? '')
}

function fromVerificationError(reason: string): BrokerError {
  if (JWKS_UNAVAILABLE.includes(reason)) return new BrokerError('temporarily_unavailable', 'jwks_unavailable')
  if (reason === InvalidSecretKey) return new BrokerError('misconfigured', 'secret_key_rejected')
  return new BrokerError('invalid_grant', 'session_token_invalid')
}

/**
 * What a rejection means for a request about a session or a JWT template. Other errors are returned as they are.
 * @param resource what a 404 says is missing: a session is the client's concern, a template the operator's
 */
export function fromRejection(error: unknown, resource: 'session' | 'template'): unknown {
  if (!(error instanceof ClerkRejection)) return error
  if (USER_BLOCKED.includes(error.code)) return new BrokerError('invalid_grant', 'user_blocked')
  if (error.status === 404) {
    return resource === 'session'
      ? new BrokerError('invalid_grant', 'session_not_found')
      : new BrokerError('misconfigured', 'template_not_found')
  }
  // For example a revoked secret key, or a feature that the plan lacks: the operator must act, the session is kept.
  return new BrokerError('misconfigured', error.status === 401 ? 'secret_key_rejected' : 'clerk_4xx')
}
