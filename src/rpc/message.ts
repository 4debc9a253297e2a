// JSON-RPC 2.0 messages: parsing a frame, recognising a request, and the responses to what is not one.
import { createJSONRPCErrorResponse, type JSONRPCRequest, type JSONRPCResponse } from 'json-rpc-2.0'
import { INVALID_REQUEST, PARSE_ERROR } from './contract.ts'
import { LIMITS } from './limits.ts'

/** A response, or a batch of them, ready for the socket. */
export type Encoded = string | Buffer

export type ParsedMessage =
  | { readonly message: unknown; readonly refusal?: never }
  | { readonly message?: never; readonly refusal: Encoded }

/** Parses the text of one frame. `refusal` is the response to a text that is no JSON or is nested too deep. */
export function parseMessage(text: string): ParsedMessage {
  // Before anything is built from it: a parser that recurses would exhaust the stack.
  if (exceedsDepth(text, LIMITS.jsonDepth)) {
    return { refusal: invalidRequest(null, `nested deeper than ${LIMITS.jsonDepth}`) }
  }
  try {
    return { message: JSON.parse(text) }
  } catch {
    return { refusal: encode(createJSONRPCErrorResponse(null, PARSE_ERROR, 'parse error')) }
  }
}

/** Whether a value is a request object (JSON-RPC 2.0 section 4). */
export function isRequest(value: unknown): value is JSONRPCRequest {
  if (typeof value !== 'object' || value === null) return false
  const { jsonrpc, method, params, id } = value as Record<string, unknown>
  if (jsonrpc !== '2.0' || typeof method !== 'string') return false
  if (params !== undefined && (typeof params !== 'object' || params === null)) return false
  return id === undefined || isId(id)
}

/** The id for the response to an invalid request: its own if that is valid, else null (JSON-RPC 2.0 section 5). */
export function requestId(value: unknown): string | number | null {
  const id = typeof value === 'object' && value !== null ? (value as Record<string, unknown>).id : null
  return isId(id) ? id : null
}

export function encode(response: JSONRPCResponse): Encoded {
  return JSON.stringify(response)
}

export function invalidRequest(id: string | number | null, detail?: string): Encoded {
  const message = detail === undefined ? 'invalid request' : `invalid request: ${detail}`
  return encode(createJSONRPCErrorResponse(id, INVALID_REQUEST, message))
}

// JSON.parse has already changed a larger number: it could not be sent back as it came.
function isId(id: unknown): id is string | number | null {
  if (typeof id === 'number') return Number.isFinite(id) && Math.abs(id) <= Number.MAX_SAFE_INTEGER
  return typeof id === 'string' || id === null
}

const [QUOTE, BACKSLASH, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [34, 92, 91, 93, 123, 125]

/** Whether brackets outside strings nest deeper than `limit`. */
function exceedsDepth(text: string, limit: number): boolean {
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
