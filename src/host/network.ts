// The only access to the network: a fetch with a deadline and a size limit for the whole response; and checks of URLs.
import type { Clock } from './clock.ts'
import { ConnectionError, causeOf, type NetworkFailure } from './network-failure.ts'
import { withTimeout } from './timeout.ts'

export type FetchInit = { [K in keyof RequestInit]: RequestInit[K] | undefined }

export type Fetch = (url: string | URL, init?: FetchInit) => Promise<Response>

/** The server sent no usable response. The text of the system's error is left out, since it may quote the request. */
export class NetworkError extends Error {
  constructor(
    readonly code: 'unreachable' | 'timeout' | 'too_large',
    readonly failure: NetworkFailure = { cause: code === 'timeout' ? 'timeout' : 'protocol' },
  ) {
    super(
      { unreachable: 'no connection', timeout: 'no response in time', too_large: 'the response is too large' }[code],
    )
    this.name = 'NetworkError'
  }
}

export interface FetchLimits {
  /** For the headers and the body together. */
  readonly deadlineSeconds: number
  readonly maxBytes: number
}

const GRACE = 1 // s; in this time an aborted request can still report which step hung

export const FETCH_LIMITS: FetchLimits = { deadlineSeconds: 10, maxBytes: 1024 * 1024 }

/**
 * Wraps a fetch so that it never hangs, never buffers without bound and never follows a redirect: a redirected token
 * request would send its secrets to the host that the redirect names. It throws NetworkError and nothing else.
 */
export function limitedFetch(fetch: Fetch, clock: Clock, limits: FetchLimits = FETCH_LIMITS): Fetch {
  return async (url, init) => {
    const abort = new AbortController()
    let timedOut = false
    const cancel = clock.after(limits.deadlineSeconds, () => {
      timedOut = true
      abort.abort()
    })
    const exchange = async () => {
      const response = await fetch(url, { ...init, redirect: 'manual', signal: abort.signal } as RequestInit)
      const body = await readAll(response, limits.maxBytes)
      return new Response(body.length > 0 ? body : null, { status: response.status, headers: response.headers })
    }
    try {
      // What is found out before a request (proxy, its password, certificates) does not heed the signal.
      return await withTimeout(clock, limits.deadlineSeconds + GRACE, exchange(), () => new NetworkError('timeout'))
    } catch (error) {
      abort.abort()
      if (error instanceof NetworkError) throw error
      throw timedOut
        ? new NetworkError('timeout', failureOf(error, 'timeout'))
        : new NetworkError('unreachable', failureOf(error))
    } finally {
      cancel()
    }
  }
}

function failureOf(error: unknown, cause = causeOf(error)): NetworkFailure {
  return error instanceof ConnectionError ? error.failure : { cause }
}

async function readAll(response: Response, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > maxBytes) throw new NetworkError('too_large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The hosts of a URL that are loopback. */
export const LOOPBACK_HOSTS: readonly string[] = ['127.0.0.1', 'localhost', '[::1]']

/** Whether a URL's host is this machine's loopback interface. IPv6 is in brackets, as in `URL.hostname`. */
export function isLoopbackHost(hostname: string): boolean {
  return LOOPBACK_HOSTS.includes(hostname)
}

/** The loopback addresses that a host stands for. A machine may lack the second. */
export function loopbackAddresses(host: '127.0.0.1' | 'localhost'): readonly [string, ...string[]] {
  return host === 'localhost' ? ['127.0.0.1', '::1'] : [host]
}

/** Whether the transport keeps secrets: `https`, or `http` on loopback. */
export function isSecureTransport({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && isLoopbackHost(hostname))
}

// The parser turns a backslash into a slash, drops line breaks and tabs, and an empty user: the text must be what it means.
const PLAIN_URL = /^https?:\/\/[^\s\p{C}\\/?#@]+(\/[^\s\p{C}\\?#]*)?$/iu

/** Whether secrets may be sent to this URL: over a secure transport, with no user, query or fragment, and no spelling that misleads. */
export function isSafeUrl(text: string): boolean {
  return PLAIN_URL.test(text) && URL.canParse(text) && isSecureTransport(new URL(text))
}
