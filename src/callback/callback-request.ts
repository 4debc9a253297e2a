// Checks on a request to the callback listener. They read the request alone, and change nothing.
import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

/** The query of a request target, or undefined if its path is another one or it has no query. */
export function queryAt(path: string, target: string): string | undefined {
  // The target is not parsed as a URL: it may be absolute, and name another host.
  return target.startsWith(`${path}?`) ? target.slice(path.length + 1) : undefined
}

/** Whether the parameters carry exactly one state, and it is the expected one. Null for a page that returns no state. */
export function hasState(params: URLSearchParams, expected: string | null | undefined): boolean {
  if (expected === null) return true
  const states = params.getAll('state')
  const [state] = states
  return states.length === 1 && state !== undefined && expected !== undefined && isSameText(state, expected)
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

function isSameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
