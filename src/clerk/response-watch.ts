// Observes the provider's responses during one operation, and tells what they mean if the operation fails.
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import { RejectedError, rejectedReason, SessionEndedError, UnavailableError } from './errors.ts'

interface ObservedResponse {
  readonly status: number
  readonly retryAfterSeconds: number | undefined
  /** The `error` of RFC 6749 section 5.2. */
  readonly error: string | undefined
}

const LONGEST_RETRY_AFTER = 300 // s; a provider that asks for an hour is still retried after five minutes

export class ResponseWatch {
  #last: ObservedResponse | undefined
  #hasSentRequest = false
  readonly fetch: Fetch

  constructor(fetch: Fetch, clock: Clock) {
    this.fetch = async (url, init) => {
      this.#hasSentRequest = true
      this.#last = undefined // a request without a response is a network failure
      const response = await fetch(url, init)
      const body = response.ok ? undefined : await response.clone().text()
      this.#last = {
        status: response.status,
        retryAfterSeconds: retryAfter(response.headers.get('retry-after'), clock),
        error: body === undefined ? undefined : oauthError(body),
      }
      return response
    }
  }

  /** Whether a request was sent. If not, the operation failed on what was known before. */
  get hasSentRequest(): boolean {
    return this.#hasSentRequest
  }

  /** Whether the last response has a status of success. Then the operation failed on its content. */
  get hasSucceeded(): boolean {
    return this.#last !== undefined && this.#last.status >= 200 && this.#last.status < 300
  }

  /** The error for a failed operation, judged by the last response and never by the text of an exception. */
  failure(): UnavailableError | RejectedError | SessionEndedError {
    const last = this.#last
    if (!last) return new UnavailableError('network')
    if (last.status < 400) return new UnavailableError('server') // an unusable body, or a redirect: none is followed
    if (last.status === 429) return new UnavailableError('rate_limited', last.retryAfterSeconds)
    if (last.status === 408 || last.status >= 500) return new UnavailableError('server', last.retryAfterSeconds)
    // RFC 6749 requires 400; Clerk documents 401 as well.
    if (last.error === 'invalid_grant') return new SessionEndedError('session_revoked')
    if (last.error !== undefined) return new RejectedError(rejectedReason(last.error))
    return new UnavailableError('server') // HTML or a truncated body says nothing about the session
  }
}

function oauthError(body: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(body)
    if (typeof parsed === 'object' && parsed !== null && 'error' in parsed && typeof parsed.error === 'string') {
      return parsed.error
    }
  } catch {
    // not an OAuth error
  }
  return undefined
}

/** `Retry-After` (RFC 9110 section 10.2.3) as seconds from now; undefined if it is absent or unusable. */
export function retryAfter(value: string | null, clock: Clock): number | undefined {
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value) ? Number(value) : Date.parse(value) / 1000 - clock.now()
  if (Number.isNaN(seconds) || seconds < 0) return undefined
  return Math.min(Math.ceil(seconds), LONGEST_RETRY_AFTER)
}
