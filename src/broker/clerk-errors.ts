// Maps Clerk's answers to the broker's. Only a session or a user that Clerk rejects is the client's fault.
import type { ClerkResponse } from './clerk-calls.ts'
import { BrokerError } from './errors.ts'

const USER_BLOCKED = ['user_banned', 'user_deactivated', 'deprovisioned']
const USER_LOCKED = 'user_locked' // for a time, after wrong passwords that a stranger may have typed: no end of a session
const KEY_REJECTED = [
  'clerk_key_invalid',
  'authorization_header_format_invalid',
  'could_not_authenticate_request',
  'authorization_invalid',
]

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

/** Throws unless Clerk's answer is a success. @throws BrokerError, ClerkRejection */
export function assertSuccess({ status, body, retryAfterSeconds }: ClerkResponse): void {
  if (status >= 200 && status < 300) return
  if (status === 429) throw new BrokerError('rate_limited', 'clerk_429', retryAfterSeconds)
  if (status === 408 || status >= 500) {
    throw new BrokerError('temporarily_unavailable', 'clerk_5xx', retryAfterSeconds)
  }
  if (status < 400) throw new BrokerError('invalid_response')
  throw new ClerkRejection(status, codeOf(body))
}

/**
 * What a rejection means, whatever the request was. Other errors are returned as they are.
 * @returns a ClerkRejection if only the request tells
 */
export function fromRejection(error: unknown): unknown {
  if (!(error instanceof ClerkRejection)) return error
  const { status, code } = error
  if (USER_BLOCKED.includes(code)) return new BrokerError('invalid_grant', 'user_blocked')
  if (code === USER_LOCKED) return new BrokerError('temporarily_unavailable', 'user_locked')
  if (KEY_REJECTED.includes(code)) return new BrokerError('misconfigured', 'secret_key_rejected')
  return status === 404 || isAboutSession(status) ? error : new BrokerError('misconfigured', 'clerk_4xx')
}

/** Clerk does not know the session or the user. Without an error of Clerk's in it, a 404 is that of a proxy, and says nothing. */
export function isUnknownToClerk(error: unknown): boolean {
  return error instanceof ClerkRejection && error.status === 404 && error.code !== ''
}

/** For a request about a session that Clerk knows. It is for the operator, and the session is kept. */
export function fromSessionRejection(error: unknown): unknown {
  const known = fromRejection(error)
  if (!(known instanceof ClerkRejection)) return known
  if (known.status === 404) return new BrokerError('invalid_response', 'not_from_clerk')
  return new BrokerError('misconfigured', known.status === 401 ? 'secret_key_rejected' : 'clerk_4xx')
}

/** The statuses with which Clerk may refuse a token for a session that is over. */
function isAboutSession(status: number): boolean {
  return status === 400 || status === 401 || status === 422
}

function codeOf(body: unknown): string {
  if (typeof body !== 'object' || body === null || !('errors' in body) || !Array.isArray(body.errors)) return ''
  const [first] = body.errors as unknown[]
  const code = typeof first === 'object' && first !== null && 'code' in first ? first.code : undefined
  return typeof code === 'string' ? code : ''
}
