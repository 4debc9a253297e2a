// For a browser that cannot come back to this machine: takes the address at which it ended, as a person has pasted it.
import { createInterface } from 'node:readline'
import { type Fetch, isLoopbackHost } from '../host/network.ts'
import { note } from './terminal.ts'

/**
 * Reads lines, and brings those that are the callback of the link to the daemon. Gives what ends that.
 * @param link the link that the person was shown last
 */
export function takePastedAddresses(
  input: NodeJS.ReadStream,
  fetch: Fetch,
  link: () => string | undefined,
): () => void {
  const lines = createInterface({ input })
  lines.on('line', (line) => {
    const shown = link()
    if (line.trim() === '' || shown === undefined) return
    const callback = callbackFrom(line.trim(), shown)
    if (callback === undefined) {
      return note('That is not where the sign-in ends. It begins with http:// and the address of this computer.')
    }
    void fetch(callback).then(
      ({ status }) => status >= 400 && note('That address was not accepted. Sign in once more with the link above.'),
      () => note('The sign-in has ended meanwhile.'),
    )
  })
  return () => {
    lines.close()
    input.unref?.()
  }
}

/** The callback that a pasted address stands for; undefined where it is none of this sign-in's. */
export function callbackFrom(pasted: string, link: string): URL | undefined {
  const callback = callbackOf(link)
  if (callback === undefined || !URL.canParse(pasted)) return undefined
  const { protocol, hostname, port, pathname, search } = new URL(pasted)
  const isOurs = protocol === 'http:' && isLoopbackHost(hostname) && port === callback.port
  if (!isOurs || pathname !== callback.pathname) return undefined
  // Nothing but the query is taken from what was pasted.
  callback.search = search
  return callback
}

/** Where the sign-in of a link comes back to; a page that signs in first has the whole link in its own. */
function callbackOf(link: string): URL | undefined {
  const { searchParams } = new URL(link)
  const [uri, next] = [searchParams.get('redirect_uri'), searchParams.get('redirect_url')]
  if (uri !== null && URL.canParse(uri)) return new URL(uri)
  if (next === null || !URL.canParse(next)) return undefined
  return callbackOf(next) ?? new URL(next)
}
