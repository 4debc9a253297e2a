// JSON-RPC 2.0 messages as they come and go: what counts as a request, and how an answer is written.
import type { JSONRPCID, JSONRPCRequest, JSONRPCResponse } from 'json-rpc-2.0'

/** Whether a value is a request object (JSON-RPC 2.0 section 4). */
export function isRequest(value: unknown): value is JSONRPCRequest {
  if (typeof value !== 'object' || value === null) return false
  const { jsonrpc, method, params, id } = value as Record<string, unknown>
  if (jsonrpc !== '2.0' || typeof method !== 'string') return false
  if (params !== undefined && (typeof params !== 'object' || params === null)) return false
  return id === undefined || isId(id)
}

/** The id to answer a broken request with: its own where that is one, else null (JSON-RPC 2.0 section 5). */
export function requestId(value: unknown): string | number | null {
  const id = typeof value === 'object' && value !== null ? (value as Record<string, unknown>).id : null
  return isId(id) ? id : null
}

// A number that JSON.parse has already changed cannot be given back as it came.
function isId(id: unknown): id is string | number | null {
  if (typeof id === 'number') return Number.isFinite(id) && Math.abs(id) <= Number.MAX_SAFE_INTEGER
  return typeof id === 'string' || id === null
}

/** Whether brackets nest deeper than `limit`. Looks at the text, before anything is built from it. */
export function exceedsDepth(text: string, limit: number): boolean {
  if (text.length <= limit) return false
  let depth = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (inString) {
      if (char === BACKSLASH) i++
      else if (char === QUOTE) inString = false
    } else if (char === QUOTE) inString = true
    else if (char === OPEN_BRACKET || char === OPEN_BRACE) {
      if (++depth > limit) return true
    } else if (char === CLOSE_BRACKET || char === CLOSE_BRACE) depth--
  }
  return false
}

const [QUOTE, BACKSLASH, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [34, 92, 91, 93, 123, 125]

// A token's answer is the same until the next token: it is turned into text once. Only for what nobody can change.
const encodedResults = new WeakMap<object, Buffer>()

/** The text of an answer. */
export function encode(response: JSONRPCResponse): string | Buffer {
  const { id, result } = response
  return typeof result === 'object' && result !== null ? encodeResult(id, result) : JSON.stringify(response)
}

/** The text of an answer with this result. */
export function encodeResult(id: JSONRPCID, result: object): string | Buffer {
  if (!Object.isFrozen(result)) return JSON.stringify({ jsonrpc: '2.0', id, result })
  let text = encodedResults.get(result)
  if (text === undefined) {
    text = Buffer.from(`${JSON.stringify(result)}}`)
    encodedResults.set(result, text)
  }
  const head = `{"jsonrpc":"2.0","id":${typeof id === 'number' ? String(id) : JSON.stringify(id)},"result":`
  // Bytes, as the socket takes them: a text of a kilobyte would be copied and measured again on its way.
  const size = Buffer.byteLength(head)
  const bytes = Buffer.allocUnsafe(size + text.length)
  bytes.write(head, 0)
  bytes.set(text, size)
  return bytes
}
