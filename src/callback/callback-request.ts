// Checks on a request to the callback listener. They read the request alone, and change nothing.
import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

/** The query of a request target, or undefined if its path is another one or it has no query. */
export function queryAt(path: string, target: string): string | undefined {
  // The target is not parsed as a URL: it may be absolute, and name another host.
  return target.startsWith(`${path}?`) ? target.slice(path.length + 1) : undefined
}

/** The state that a callback must carry. */
export interface ExpectedState {
  /** Null for a page that returns no state. */
  readonly value: string | null
  /** Whether a callback without a state and without a code is accepted as well, since the page may return none. */
  readonly mayBeMissing: boolean
}

/** Whether the callback has nothing that says to which sign-in it belongs, and needs nothing. */
export function lacksState(params: URLSearchParams, { value, mayBeMissing }: ExpectedState): boolean {
  return value === null || (mayBeMissing && !params.has('state') && !params.has('code'))
}

/** Whether the parameters carry exactly one state, and it is the expected one. */
export function hasState(params: URLSearchParams, expected: string | null): boolean {
  const states = params.getAll('state')
  const [state] = states
  return states.length === 1 && state !== undefined && expected !== null && isSameText(state, expected)
}

/** Whether Clerk has redirected with an error but without the state, having lost the authorization request. */
export function isInterrupted(params: URLSearchParams): boolean {
  return params.has('error') && !params.has('code') && params.getAll('state').every((state) => state === '')
}

/** Parameters must not repeat (RFC 6749 section 3.1): one parser reads the first value, and another the last. */
export function repeatsParameter(params: URLSearchParams): boolean {
  return ['code', 'error', 'iss', 'state'].some((name) => params.getAll(name).length > 1)
}

/** Whether the browser loads the page ahead of the user, for a preview or a prediction. */
export function isPrefetch(headers: IncomingHttpHeaders): boolean {
  return [headers['sec-purpose'], headers.purpose, headers['x-purpose'], headers['x-moz']].some(
    (value) => typeof value === 'string' && /prefetch|prerender|preview/i.test(value),
  )
}

/**
 * Whether a person has gone to this address, as far as the browser tells: no image, frame, script or request of another page.
 * Browsers before 2023, and some in-app ones, tell nothing. The mode `cors` alone is that of a program: with it a browser would
 * name the destination and the site, and for another page its origin.
 */
export function isVisit(headers: IncomingHttpHeaders): boolean {
  const { origin, 'sec-fetch-dest': dest, 'sec-fetch-mode': mode, 'sec-fetch-site': site } = headers
  if (origin !== undefined) return false
  const isOfProgram = mode === 'cors' && dest === undefined && site === undefined
  return isOfProgram || ((dest ?? 'document') === 'document' && (mode ?? 'navigate') === 'navigate')
}

function isSameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
