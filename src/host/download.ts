// Downloads a file in pieces: over https (or http on loopback), with a bounded size, and with a bounded wait for the next piece and for the whole.
import type { Clock } from './clock.ts'
import { type Fetch, isSecureTransport, NetworkError } from './network.ts'
import { ConnectionError, causeOf } from './network-failure.ts'

export interface DownloadOptions {
  readonly maxBytes: number
  /** Called for each piece in turn. What it throws ends the download. */
  readonly onChunk: (chunk: Uint8Array) => Promise<void> | void
}

/** @throws NetworkError, DownloadError, or what `onChunk` throws */
export type Download = (url: URL, options: DownloadOptions) => Promise<void>

/** A server has answered, but not with the file. */
export class DownloadError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'DownloadError'
  }
}

const IDLE_SECONDS = 60
const SHORTEST_DEADLINE = 120 // s
const SLOWEST = 15_000 // bytes per second: an hour for 50 MB
const MOST_REDIRECTS = 5 // GitHub needs two
const REDIRECTS = [301, 302, 303, 307, 308]

/**
 * Unlike the requests with secrets, a download follows redirects: it sends nothing, and what it brings is checked by a
 * signature. It never goes from https to http.
 */
export function boundedDownload(fetch: Fetch, clock: Clock): Download {
  return async (url, { maxBytes, onChunk }) => {
    const abort = new AbortController()
    let cancelIdle = clock.after(IDLE_SECONDS, () => abort.abort())
    const cancelDeadline = clock.after(Math.max(SHORTEST_DEADLINE, maxBytes / SLOWEST), () => abort.abort())
    const stayAwake = () => {
      cancelIdle()
      cancelIdle = clock.after(IDLE_SECONDS, () => abort.abort())
    }
    try {
      const response = await follow(fetch, url, abort.signal)
      let size = 0
      for await (const chunk of piecesOf(response, abort.signal)) {
        stayAwake()
        size += chunk.length
        if (size > maxBytes) throw new DownloadError('the file is larger than it should be')
        await onChunk(chunk)
      }
    } finally {
      cancelIdle()
      cancelDeadline()
      abort.abort() // ends the connection, if it is still open
    }
  }
}

async function follow(fetch: Fetch, first: URL, signal: AbortSignal): Promise<Response> {
  let url = first
  for (let hops = 0; ; hops++) {
    const response = await fetch(url, { redirect: 'manual', signal }).catch((error: unknown) => {
      throw networkErrorOf(error, signal)
    })
    if (response.status === 200) return response
    if (!REDIRECTS.includes(response.status)) throw new DownloadError(`the server answers with ${response.status}`)
    if (hops === MOST_REDIRECTS) throw new DownloadError('the server redirects too often')
    await response.body?.cancel().catch(() => undefined)
    url = redirectTarget(response.headers.get('location'), url)
  }
}

function redirectTarget(location: string | null, from: URL): URL {
  const url = location !== null && URL.canParse(location, from.href) ? new URL(location, from) : undefined
  if (url === undefined) throw new DownloadError('the server redirects to no address')
  const isDowngrade = from.protocol === 'https:' && url.protocol !== 'https:'
  if (isDowngrade || !isSecureTransport(url))
    throw new DownloadError('the server redirects to an address without https')
  return url
}

/** The pieces of the body; an error of the connection becomes a NetworkError. */
async function* piecesOf({ body }: Response, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader()
  while (reader !== undefined) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw networkErrorOf(error, signal)
    })
    if (done) return
    yield value as Uint8Array
  }
}

function networkErrorOf(error: unknown, signal: AbortSignal): NetworkError {
  if (signal.aborted) return new NetworkError('timeout')
  const failure = error instanceof ConnectionError ? error.failure : { cause: causeOf(error) }
  return new NetworkError('unreachable', failure)
}
