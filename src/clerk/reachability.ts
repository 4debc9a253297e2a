// Whether the provider and the broker respond, and how far the clock of this computer is off. The requests hold no secret.
import type { Clock } from '../host/clock.ts'
import { type Fetch, type FetchInit, NetworkError } from '../host/network.ts'
import type { NetworkFailure } from '../host/network-failure.ts'
import { UnavailableError, type UnavailableReason } from './errors.ts'
import { ResponseWatch } from './response-watch.ts'
import { clockSkew } from './server-time.ts'

/** Why a server cannot be reached: the data of `1003 temporarily unavailable`. */
export type ReachError = { readonly reason: UnavailableReason } & Partial<NetworkFailure>

export interface Reached {
  /** Null if the server gave the response that it should give. */
  readonly error: ReachError | null
  /** Seconds that this computer's clock is ahead of the server's; null if the server does not state the time. */
  readonly skew: number | null
}

interface Question extends FetchInit {
  readonly url: string
  /** Whether a response is one of the server that is meant. */
  readonly isExpected: (status: number, body: Readonly<Record<string, unknown>>) => boolean
}

/** Asks for the metadata of an OAuth provider. */
export function reachMetadata(issuer: string, fetch: Fetch, clock: Clock): Promise<Reached> {
  const isExpected: Question['isExpected'] = (status, { issuer }) => status === 200 && typeof issuer === 'string'
  return reach({ url: below(issuer, '/.well-known/openid-configuration'), isExpected }, fetch, clock)
}

/** Asks for the public keys of a Clerk instance. */
export function reachKeys(issuer: string, fetch: Fetch, clock: Clock): Promise<Reached> {
  const isExpected: Question['isExpected'] = (status, { keys }) => status === 200 && Array.isArray(keys)
  return reach({ url: below(issuer, '/.well-known/jwks.json'), isExpected }, fetch, clock)
}

/** Sends an empty request: a broker refuses it with an error code of RFC 6749, and a backend without a broker does not. */
export function reachBroker(brokerUrl: string, fetch: Fetch, clock: Clock): Promise<Reached> {
  const question: Question = {
    url: below(brokerUrl, '/api/auth/refresh'),
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{}',
    isExpected: (_status, { error }) => error === 'invalid_request',
  }
  return reach(question, fetch, clock)
}

async function reach({ url, isExpected, ...init }: Question, fetch: Fetch, clock: Clock): Promise<Reached> {
  const watch = new ResponseWatch(fetch, clock)
  try {
    const response = await watch.fetch(url, init)
    const skew = clockSkew(response.headers, clock) ?? null
    const body: unknown = await response.json().catch(() => undefined)
    const fields = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
    if (isExpected(response.status, fields)) return { error: null, skew }
    // «Not found» is said by a server at a wrong address, also in HTML; a network that wants a sign-in says something else.
    const isMissing = response.status === 404
    return { error: isMissing ? { reason: 'server', cause: 'protocol' } : errorOf(watch), skew }
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error
    return { error: errorOf(watch), skew: null }
  }
}

function errorOf(watch: ResponseWatch): ReachError {
  const failure = watch.failure()
  if (failure instanceof UnavailableError) return { reason: failure.reason, ...failure.failure }
  return { reason: 'server', cause: 'protocol' } // an error code that this question does not cause
}

function below(url: string, path: string): string {
  return `${url.replace(/\/$/, '')}${path}`
}
