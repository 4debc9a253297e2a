// What the broker's log may say.

/** All fields that a log line may have: never a token, a header or a body. */
export interface BrokerLogFields {
  readonly event:
    | 'code_issued'
    | 'token_issued'
    | 'refreshed'
    | 'logged_out'
    | 'refused'
    | 'failed'
    | 'session_limit_refused'
    | 'clock_wrong'
    | 'clock_right'
  /** Of the answer; for `session_limit_refused`, of Clerk's; for `clock_wrong`, of the refusals by time until it is right. */
  readonly status: number
  /** A code from a closed list. */
  readonly reason?: string
  readonly route?: string
  readonly sessionId?: string
  readonly userId?: string
  /** The address of the client, if the server tells it. */
  readonly address?: string
  readonly requestId?: string
  /** How far the clock of this computer is ahead of Clerk's. */
  readonly offsetSeconds?: number
  /** What the operator can do. */
  readonly hint?: string
  /** Duration of the request in milliseconds. */
  readonly ms?: number
}
