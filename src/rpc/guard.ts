// Decides whether an upgrade request may become a WebSocket. Nothing that a web page or a stranger can send passes.
import type { IncomingMessage } from 'node:http'
import type { Endpoint } from './discovery.ts'
import { mac, parseAuthorization, SUBPROTOCOL, sameMac } from './handshake.ts'

/** Why a request was refused: for our log alone, the peer is never told. */
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
  /** `proof` is the daemon's own MAC over the nonce. */
  { readonly allowed: true; readonly proof: string } | { readonly allowed: false; readonly why: Refusal }

// A program that speaks to us sends none of these; a browser or a proxy always sends one.
const FORBIDDEN = /^(?:origin|referer|cookie|sec-fetch-.*|forwarded|x-forwarded-.*|via)$/
const ONCE = [
  'host',
  'upgrade',
  'connection',
  'authorization',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-protocol',
]
const NONCES = 1_000_000 // 65 MB at the worst, where no new key could be published for so long

/**
 * @param endpoint what the daemon has published; its `endpoint` is the only Host that is right.
 * @param onNonce is told how many nonces there are: they are kept for as long as the endpoint is good.
 */
export function createGuard(
  endpoint: Endpoint,
  onNonce: (count: number) => void,
): (request: IncomingMessage) => Verdict {
  const seen = new Set<string>()

  return (request) => {
    const headers = collect(request.rawHeaders)
    const why = refuse(request, headers, endpoint)
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
    // Only nonces with a right MAC are kept, so a stranger cannot fill the set. Full, it refuses: it never forgets.
    if (seen.has(credentials.nonce) || seen.size >= NONCES) return { allowed: false, why: 'replay' }
    // A copy: a part of the header's text would keep all of it in memory.
    seen.add(Buffer.from(credentials.nonce).toString('latin1'))
    onNonce(seen.size)
    return { allowed: true, proof: mac('server', endpoint, credentials.nonce) }
  }
}

function refuse(request: IncomingMessage, headers: Map<string, string[]>, endpoint: Endpoint): Refusal | undefined {
  if (request.socket.remoteAddress !== '127.0.0.1' || request.socket.localAddress !== '127.0.0.1') return 'address'
  // The target is compared as it came: no query, no absolute form, no dot segments.
  if (request.method !== 'GET' || request.url !== endpoint.path || request.httpVersion !== '1.1') return 'request_line'
  for (const name of headers.keys()) if (FORBIDDEN.test(name)) return 'browser_header'
  for (const name of ONCE) if ((headers.get(name)?.length ?? 0) > 1) return 'repeated_header'
  if (headers.get('host')?.[0] !== endpoint.endpoint) return 'host'
  if (headers.get('upgrade')?.[0]?.toLowerCase() !== 'websocket') return 'websocket'
  if (headers.get('sec-websocket-version')?.[0] !== '13') return 'websocket'
  if (headers.get('sec-websocket-protocol')?.[0] !== SUBPROTOCOL) return 'websocket'
  // RFC 6455 section 4.2.1: 16 bytes in base64. Checked here, as every refusal must be the same 403.
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers.get('sec-websocket-key')?.[0] ?? '')) return 'websocket'
  return undefined
}

// Node joins or drops repeated headers in `headers`; the raw list shows all of them.
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
