// Watches the last answer of the provider during one operation, and says what it means when the operation fails.
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import { RejectedError, rejectedReason, SessionEndedError, UnavailableError } from './errors.ts'

interface Answer {
  readonly status: number
  readonly retryAfterSeconds: number | undefined
  /** The `error` of RFC 6749 section 5.2. */
  readonly error: string | undefined
}

const LONGEST_RETRY_AFTER = 300 // s; a provider that asks for an hour is asked again after five minutes all the same

export class AnswerWatch {
  #last: Answer | undefined
  #asked = false
  readonly fetch: Fetch

  constructor(fetch: Fetch, clock: Clock) {
    this.fetch = async (url, init) => {
      this.#asked = true
      this.#last = undefined // a request without an answer is a network failure
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

  /** Whether the provider was asked at all; else what failed is what was known before. */
  get asked(): boolean {
    return this.#asked
  }

  /** Whether the last request got an answer of success: what then failed is what the answer said. */
  get answered(): boolean {
    return this.#last !== undefined && this.#last.status >= 200 && this.#last.status < 300
  }

  /** The error that the failure of this operation stands for, judged by what the provider answered and not by a text. */
  failure(): UnavailableError | RejectedError | SessionEndedError {
    const last = this.#last
    if (!last) return new UnavailableError('network')
    if (last.status < 400) return new UnavailableError('server') // nonsense, or a redirect: never followed, never believed
    if (last.status === 429) return new UnavailableError('rate_limited', last.retryAfterSeconds)
    if (last.status === 408 || last.status >= 500) return new UnavailableError('server', last.retryAfterSeconds)
    // RFC 6749 says 400; Clerk documents 401 as well.
    if (last.error === 'invalid_grant') return new SessionEndedError('session_revoked')
    if (last.error !== undefined) return new RejectedError(rejectedReason(last.error))
    return new UnavailableError('server') // HTML, half a body: nonsense that says nothing of the session
  }
}

function oauthError(body: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(body)
    if (typeof parsed === 'object' && parsed !== null && 'error' in parsed && typeof parsed.error === 'string') {
      return parsed.error
    }
  } catch {
    // no OAuth error, then
  }
  return undefined
}

/** `Retry-After` (RFC 9110 section 10.2.3), as seconds from now; undefined where it says nothing usable. */
export function retryAfter(value: string | null, clock: Clock): number | undefined {
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value) ? Number(value) : Date.parse(value) / 1000 - clock.now()
  if (Number.isNaN(seconds) || seconds < 0) return undefined
  return Math.min(Math.ceil(seconds), LONGEST_RETRY_AFTER)
}
