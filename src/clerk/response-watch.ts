// Observes the provider's responses during one operation, and tells what they mean if the operation fails.
import type { Clock } from '../host/clock.ts'
import { type Fetch, NetworkError } from '../host/network.ts'
import type { NetworkFailure } from '../host/network-failure.ts'
import { RejectedError, rejectedReason, SessionEndedError, UnavailableError } from './errors.ts'

interface ObservedResponse {
  readonly status: number
  readonly retryAfterSeconds: number | undefined
  /** The `error` of RFC 6749 section 5.2. */
  readonly error: string | undefined
  readonly isHtml: boolean
}

const LONGEST_RETRY_AFTER = 300 // s; a provider that asks for an hour is still retried after five minutes

export class ResponseWatch {
  #last: ObservedResponse | undefined
  #networkFailure: NetworkFailure | undefined
  #hasSentRequest = false
  readonly fetch: Fetch

  constructor(fetch: Fetch, clock: Clock) {
    this.fetch = async (url, init) => {
      this.#hasSentRequest = true
      this.#last = undefined // a request without a response is a network failure
      this.#networkFailure = undefined
      const response = await fetch(url, init).catch((error: unknown) => {
        if (error instanceof NetworkError) this.#networkFailure = error.failure
        throw error
      })
      const body = response.ok ? undefined : await response.clone().text()
      this.#last = {
        status: response.status,
        retryAfterSeconds: retryAfter(response.headers.get('retry-after'), clock),
        error: body === undefined ? undefined : oauthError(body),
        isHtml: /^\s*text\/html\b/i.test(response.headers.get('content-type') ?? ''),
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

  /** The `error` of the last response; undefined if it is not an OAuth error. */
  get error(): string | undefined {
    return this.#last?.error
  }

  /** Why the last request got no response of the provider, if its content turned out to be unusable. */
  get networkFailure(): NetworkFailure | undefined {
    return this.#last ? unusable(this.#last).failure : this.#networkFailure
  }

  /** The error for a failed operation, judged by the last response and never by the text of an exception. */
  failure(): UnavailableError | RejectedError | SessionEndedError {
    const last = this.#last
    if (!last) return new UnavailableError('network', undefined, this.#networkFailure)
    const { status, retryAfterSeconds, error } = last
    if (status === 429) return new UnavailableError('rate_limited', retryAfterSeconds)
    if (status === NETWORK_AUTHENTICATION_REQUIRED) return unusable(last)
    if (status === 408 || status >= 500) return new UnavailableError('server', retryAfterSeconds)
    if (status < 400) return unusable(last) // an unusable body, or a redirect: none is followed
    if (error !== undefined && NOT_NOW.includes(error)) return new UnavailableError('server', retryAfterSeconds)
    // RFC 6749 requires 400; Clerk documents 401 as well.
    if (error === 'invalid_grant') return new SessionEndedError('session_revoked')
    if (error !== undefined) return new RejectedError(rejectedReason(error))
    return unusable(last) // HTML or a truncated body says nothing about the session
  }
}

const NOT_NOW: readonly string[] = ['temporarily_unavailable', 'server_error', 'unknown_key'] // whatever their status

const NETWORK_AUTHENTICATION_REQUIRED = 511 // RFC 6585 section 6: said by a network that wants a sign-in of its own

/** The response is not one of the provider. HTML is the page of a network: its sign-in, or its refusal. */
function unusable({ isHtml, status }: ObservedResponse): UnavailableError {
  const isPortal = isHtml || status === NETWORK_AUTHENTICATION_REQUIRED
  return new UnavailableError('server', undefined, { cause: isPortal ? 'captive_portal' : 'protocol' })
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
