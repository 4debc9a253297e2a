// For a browser that cannot reach this computer: delivers the callback address that the user pasted to the daemon.
import { createInterface } from 'node:readline'
import { ReadStream } from 'node:tty'
import { type Fetch, isLoopbackHost } from '../host/network.ts'
import { note } from './terminal.ts'
import { readTerminalLines } from './terminal-lines.ts'

export interface PastedCallbackOptions {
  readonly fetch: Fetch
  /** Returns the link that the user saw last. */
  readonly link: () => string | undefined
  /** Called in a terminal when the user has typed or pasted something, with its length in characters. */
  readonly onTyped: (length: number) => void
}

/**
 * Reads lines, and requests those that are the callback of the link.
 * @returns a function that stops reading and restores the terminal
 */
export function deliverPastedCallbacks(
  input: NodeJS.ReadStream,
  { fetch, link, onTyped }: PastedCallbackOptions,
): () => void {
  const onLine = (line: string) => deliver(line.trim(), link(), fetch)
  if (input instanceof ReadStream && input.isTTY) {
    return readTerminalLines(input, { onLine, onTyped, signal: (name) => process.kill(process.pid, name) })
  }
  const lines = createInterface({ input })
  lines.on('line', onLine)
  return () => {
    lines.close()
    input.unref?.()
  }
}

function deliver(line: string, link: string | undefined, fetch: Fetch): void {
  if (line === '' || link === undefined) return
  const callback = pastedCallback(line, link)
  if (callback === undefined) {
    const { origin = 'http:/', pathname = '/' } = callbackOf(link) ?? {}
    note(`This is not the address of the callback. It starts with ${origin}${pathname}`)
    return
  }
  void fetch(callback).then(
    ({ status }) =>
      status >= 400 && note('The daemon did not accept this address. Use the link above to sign in again.'),
    () => note('The sign-in has already ended.'),
  )
}

/** The callback address that the user pasted; undefined if it is not the callback of the link. */
export function pastedCallback(pasted: string, link: string): URL | undefined {
  const callback = callbackOf(link)
  // Some browsers copy an address without its protocol.
  const address = /^[a-z][a-z+.-]*:\/\//i.test(pasted) ? pasted : `http://${pasted}`
  if (callback === undefined || !URL.canParse(address)) return undefined
  const { protocol, hostname, port, pathname, search } = new URL(address)
  // A browser that upgrades every address to https ends at one, which nothing serves.
  if (!['http:', 'https:'].includes(protocol) || !isLoopbackHost(hostname)) return undefined
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
