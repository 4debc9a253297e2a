// For a browser that cannot reach this computer: delivers the callback address that the user pasted to the daemon.
import { createInterface } from 'node:readline'
import { type Fetch, isLoopbackHost } from '../host/network.ts'
import { note } from './terminal.ts'

/**
 * Reads lines, and requests those that are the callback of the link.
 * @param link returns the link that the user saw last
 * @returns a function that stops reading
 */
export function deliverPastedCallbacks(
  input: NodeJS.ReadStream,
  fetch: Fetch,
  link: () => string | undefined,
): () => void {
  const lines = createInterface({ input })
  lines.on('line', (line) => {
    const shown = link()
    if (line.trim() === '' || shown === undefined) return
    const callback = pastedCallback(line.trim(), shown)
    if (callback === undefined) {
      return note('This is not the address of the callback. It starts with http:// and the address of this computer.')
    }
    void fetch(callback).then(
      ({ status }) =>
        status >= 400 && note('The daemon did not accept this address. Use the link above to sign in again.'),
      () => note('The sign-in has already ended.'),
    )
  })
  return () => {
    lines.close()
    input.unref?.()
  }
}

/** The callback address that the user pasted; undefined if it is not the callback of the link. */
export function pastedCallback(pasted: string, link: string): URL | undefined {
  const callback = callbackOf(link)
  if (callback === undefined || !URL.canParse(pasted)) return undefined
  const { protocol, hostname, port, pathname, search } = new URL(pasted)
  if (protocol !== 'http:' || !isLoopbackHost(hostname)) return undefined
  if (port !== callback.port || pathname !== callback.pathname) return undefined
  // Only the query of the pasted address is used: the request goes to the link's own callback.
  callback.search = search
  return callback
}

/** The callback address of a link: in its own query, or in that of the link that a sign-in page returns to. */
function callbackOf(link: string): URL | undefined {
  const { searchParams } = new URL(link)
  const [uri, next] = [searchParams.get('redirect_uri'), searchParams.get('redirect_url')]
  if (uri !== null && URL.canParse(uri)) return new URL(uri)
  if (next === null || !URL.canParse(next)) return undefined
  return callbackOf(next) ?? new URL(next)
}
