// The errors that the broker answers with: JSON objects as in RFC 6749 section 5.2, with constant texts.
import { type BrokerResponse, jsonResponse } from './response.ts'

interface Refusal {
  readonly status: number
  /** The `error` of the answer. */
  readonly error: string
  readonly description: string
}

const REFUSALS = {
  invalid_request: {
    status: 400,
    error: 'invalid_request',
    description: 'the parameters of the request are missing or malformed',
  },
  unsupported_media_type: {
    status: 415,
    error: 'invalid_request',
    description: 'expected the content type application/json',
  },
  payload_too_large: { status: 413, error: 'invalid_request', description: 'the request body is too large' },
  not_found: {
    status: 404,
    error: 'invalid_request',
    description: 'unknown path; the broker serves code, token, refresh and logout below /api/auth',
  },
  method_not_allowed: { status: 405, error: 'invalid_request', description: 'only POST is allowed' },
  invalid_grant: {
    status: 400,
    error: 'invalid_grant',
    description: 'the session has ended, or the token does not prove it',
  },
  invalid_dpop_proof: {
    status: 400,
    error: 'invalid_dpop_proof',
    description: 'the DPoP proof is missing, or does not fit this request and this token',
  },
  use_dpop_nonce: {
    status: 400,
    error: 'use_dpop_nonce',
    description: 'the DPoP proof needs the nonce of the header DPoP-Nonce',
  },
  interaction_required: {
    status: 400,
    error: 'interaction_required',
    description: 'the user must complete a step at Clerk first',
  },
  too_many_requests: {
    status: 429,
    error: 'temporarily_unavailable',
    description: 'too many requests',
  },
  rate_limited: { status: 429, error: 'temporarily_unavailable', description: 'Clerk limits the rate of requests' },
  temporarily_unavailable: {
    status: 503,
    error: 'temporarily_unavailable',
    description: 'the broker or Clerk is unavailable',
  },
  unknown_key: {
    status: 503,
    error: 'unknown_key',
    description: 'this copy of the broker does not have the key of the token',
  },
  invalid_response: { status: 502, error: 'server_error', description: 'the response from Clerk is invalid' },
  misconfigured: {
    status: 500,
    error: 'server_error',
    description: 'the broker is misconfigured; its log has the reason',
  },
} as const satisfies Record<string, Refusal>

export type RefusalKind = keyof typeof REFUSALS

const DEFAULT_RETRY_AFTER = 5 // s; used when Clerk sends no Retry-After
const LONGEST_RETRY_AFTER = 3600 // s

export class BrokerError extends Error {
  readonly status: number

  /**
   * @param reason for the log: a code from a closed list, never a text from Clerk
   * @param retryAfterSeconds sent as `Retry-After` with 429 and 503
   */
  constructor(
    readonly kind: RefusalKind,
    readonly reason: string = kind,
    readonly retryAfterSeconds?: number,
  ) {
    super(REFUSALS[kind].description)
    this.name = 'BrokerError'
    this.status = REFUSALS[kind].status
  }

  toResponse(): BrokerResponse {
    const { status, error, description } = REFUSALS[this.kind]
    const isRetryable = status === 429 || status === 503
    const retryAfter = Math.min(this.retryAfterSeconds ?? DEFAULT_RETRY_AFTER, LONGEST_RETRY_AFTER)
    const headers = {
      ...(status === 405 ? { Allow: 'POST' } : {}),
      ...(isRetryable ? { 'Retry-After': String(retryAfter) } : {}),
    }
    return jsonResponse({ error, error_description: description }, status, headers)
  }
}

/** A refusal by time. It is one only if the clock is right: see ClerkTime. */
export class OutdatedError extends BrokerError {
  /** @param at the time by which it was refused, as Unix time in seconds */
  constructor(
    reason: string,
    readonly at: number,
  ) {
    super('invalid_grant', reason)
  }
}
