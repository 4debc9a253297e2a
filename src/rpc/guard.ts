// Decides whether an upgrade request may become a WebSocket. No request that a web page or another user can send passes.
import type { IncomingMessage } from 'node:http'
import type { Endpoint } from './discovery.ts'
import { mac, parseAuthorization, SUBPROTOCOL, sameMac } from './handshake.ts'

/** Why a request was refused. Only the log tells: the answer is the same for every reason. */
export type Refusal =
  | 'address'
  | 'request_line'
  | 'browser_header'
  | 'repeated_header'
  | 'host'
  | 'websocket'
  | 'authorization'
  | 'replay'

export type Verdict =
  /** `proof` is the MAC of the server role over the client's nonce. */
  { readonly allowed: true; readonly proof: string } | { readonly allowed: false; readonly why: Refusal }

// Our clients send none of these; a browser or a proxy always sends one.
const FORBIDDEN = /^(?:origin|referer|cookie|sec-fetch-.*|forwarded|x-forwarded-.*|via)$/
const AT_MOST_ONCE = [
  'host',
  'upgrade',
  'connection',
  'authorization',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-protocol',
]
const MAX_NONCES = 1_000_000 // 65 MB, reached only if no new key can be published: a key is renewed long before

/**
 * @param endpoint what the daemon has published; its `endpoint` is the only valid Host
 * @param onNonce gets the number of nonces seen so far; each is kept as long as the endpoint is in use
 */
export function createGuard(
  endpoint: Endpoint,
  onNonce: (count: number) => void,
): (request: IncomingMessage) => Verdict {
  const seen = new Set<string>()

  return (request) => {
    const headers = collect(request.rawHeaders)
    const why = reasonToRefuse(request, headers, endpoint)
    if (why) return { allowed: false, why }
    const credentials = parseAuthorization(headers.get('authorization')?.[0] ?? '')
    const expected = credentials && mac('client', endpoint, credentials.nonce)
    if (
      !credentials ||
      !expected ||
      !sameMac(expected, credentials.mac) ||
      credentials.instance !== endpoint.instance
    ) {
      return { allowed: false, why: 'authorization' }
    }
    // Only nonces with a valid MAC are kept, so only the owner can fill the set. A full set refuses: it never forgets.
    if (seen.has(credentials.nonce) || seen.size >= MAX_NONCES) return { allowed: false, why: 'replay' }
    // A copy: a substring would keep the whole header in memory.
    seen.add(Buffer.from(credentials.nonce).toString('latin1'))
    onNonce(seen.size)
    return { allowed: true, proof: mac('server', endpoint, credentials.nonce) }
  }
}

function reasonToRefuse(
  request: IncomingMessage,
  headers: Map<string, string[]>,
  endpoint: Endpoint,
): Refusal | undefined {
  if (request.socket.remoteAddress !== '127.0.0.1' || request.socket.localAddress !== '127.0.0.1') return 'address'
  // The target is compared unparsed: no query, no absolute form, no dot segments.
  if (request.method !== 'GET' || request.url !== endpoint.path || request.httpVersion !== '1.1') return 'request_line'
  for (const name of headers.keys()) if (FORBIDDEN.test(name)) return 'browser_header'
  for (const name of AT_MOST_ONCE) if ((headers.get(name)?.length ?? 0) > 1) return 'repeated_header'
  if (headers.get('host')?.[0] !== endpoint.endpoint) return 'host'
  if (headers.get('upgrade')?.[0]?.toLowerCase() !== 'websocket') return 'websocket'
  if (headers.get('sec-websocket-version')?.[0] !== '13') return 'websocket'
  if (headers.get('sec-websocket-protocol')?.[0] !== SUBPROTOCOL) return 'websocket'
  // RFC 6455 section 4.2.1: 16 bytes in base64. Checked here because ws would answer with another status.
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers.get('sec-websocket-key')?.[0] ?? '')) return 'websocket'
  return undefined
}

// Not `request.headers`: there Node joins or drops repeated headers.
function collect(rawHeaders: readonly string[]): Map<string, string[]> {
  const headers = new Map<string, string[]>()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = String(rawHeaders[i]).toLowerCase()
    const values = headers.get(name)
    if (values) values.push(String(rawHeaders[i + 1]))
    else headers.set(name, [String(rawHeaders[i + 1])])
  }
  return headers
}
