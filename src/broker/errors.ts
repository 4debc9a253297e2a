// What the broker answers when it cannot give a token: RFC 6749 section 5.2, with constant texts.

const ERRORS = {
  invalid_request: [400, 'a JSON object with session_id and a bearer token, or with refresh_token, is expected'],
  not_json: [415, 'application/json is expected'],
  too_large: [413, 'the request is too large'],
  not_found: [404, 'there is POST /api/auth/refresh and POST /api/auth/logout'],
  method_not_allowed: [405, 'POST is expected'],
  invalid_grant: [400, 'the session is gone, or this is no proof of it'],
  interaction_required: [400, 'the person has something to do at Clerk first'],
  too_many_requests: [429, 'too many requests for this session'],
  rate_limited: [429, 'Clerk asks to wait'],
  temporarily_unavailable: [503, 'Clerk cannot be reached'],
  bad_answer: [502, 'Clerk gave no usable answer'],
  set_up: [500, 'the broker is not set up right; its log says why'],
} as const

export type Refusal = keyof typeof ERRORS

/** The `error` of the answer, where it is not the refusal's own name. */
const CODES: Partial<Record<Refusal, string>> = {
  not_json: 'invalid_request',
  too_large: 'invalid_request',
  not_found: 'invalid_request',
  method_not_allowed: 'invalid_request',
  too_many_requests: 'temporarily_unavailable',
  rate_limited: 'temporarily_unavailable',
  bad_answer: 'server_error',
  set_up: 'server_error',
}

const RETRY_AFTER = 5 // s; where Clerk does not say when

export class BrokerError extends Error {
  readonly status: number

  /**
   * @param reason for the log: a code from a closed list, never a text of Clerk's
   * @param retryAfterSeconds when to try again
   */
  constructor(
    readonly refusal: Refusal,
    readonly reason: string = refusal,
    readonly retryAfterSeconds?: number,
  ) {
    super(ERRORS[refusal][1])
    this.name = 'BrokerError'
    this.status = ERRORS[refusal][0]
  }

  toResponse(): Response {
    const error = CODES[this.refusal] ?? this.refusal
    const waits = this.status === 429 || this.status === 503
    const headers = {
      'Cache-Control': 'no-store',
      ...(this.refusal === 'method_not_allowed' ? { Allow: 'POST' } : {}),
      ...(waits ? { 'Retry-After': String(this.retryAfterSeconds ?? RETRY_AFTER) } : {}),
    }
    return Response.json({ error, error_description: this.message }, { status: this.status, headers })
  }
}
