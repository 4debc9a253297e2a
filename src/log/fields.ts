// The levels of the log, and the closed list of the fields that a line may have.

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/**
 * Every field that can be logged. There is none for an error object, a URL, a header or a body: a secret in them can have
 * any shape, so that no redaction is sure to find it.
 */
export interface LogFields {
  readonly profile?: string
  readonly state?: string
  readonly reason?: string
  readonly cause?: string
  readonly setting?: string
  readonly port?: number
  readonly pid?: number
  readonly version?: string
  readonly ms?: number
  readonly revoked?: boolean
  /** How many lines are missing from the log. */
  readonly lines?: number
}
