// The requests that the broker sends to Clerk, as one function: a pool, limits and a circuit breaker are put around it.

/** What a request is for: a closed list, for metrics. */
export type ClerkOperation = 'keys' | 'mint' | 'session' | 'user' | 'extend' | 'revoke'

export interface ClerkRequest {
  readonly operation: ClerkOperation
  readonly method: 'GET' | 'POST' | 'PATCH'
  /** A path of the Backend API (`/v1/…`), sent with the secret key; or an absolute URL of public keys, sent without it. */
  readonly target: string
  readonly body?: object
}

export interface ClerkResponse {
  readonly status: number
  /** The parsed JSON; undefined if the body is not JSON. */
  readonly body: unknown
  /** From `Retry-After`; undefined if the header is absent, or is a date. */
  readonly retryAfterSeconds: number | undefined
  /** From `Date`: when Clerk answered, as Unix time in seconds; undefined without a date. Without any, no time is known. */
  readonly date: number | undefined
  /** From `Age`: how long a cache has kept the answer; undefined if none has. */
  readonly ageSeconds?: number | undefined
}

/**
 * Sends a request, and returns the answer whatever its status is. An aborted signal closes the connection: nothing of the
 * request is left. A wrapper that refuses to send throws a BrokerError `temporarily_unavailable` with its own reason.
 * @throws an error of the network, or the signal's reason
 */
export type ClerkCalls = (request: ClerkRequest, signal: AbortSignal) => Promise<ClerkResponse>
