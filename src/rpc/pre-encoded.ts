// A result that is encoded once and sent many times: the header of the current token answers most calls.
import type { JSONRPCID } from 'json-rpc-2.0'

export class PreEncoded {
  readonly #resultAndEnd: Buffer

  /** @param result is read now: changing it later changes no response */
  constructor(result: object) {
    this.#resultAndEnd = Buffer.from(`${JSON.stringify(result)}}`)
  }

  /** The JSON-RPC response with this result. A buffer, because a socket would copy and measure a string again. */
  responseTo(id: JSONRPCID): Buffer {
    const start = `{"jsonrpc":"2.0","id":${typeof id === 'number' ? String(id) : JSON.stringify(id)},"result":`
    const size = Buffer.byteLength(start)
    const response = Buffer.allocUnsafe(size + this.#resultAndEnd.length)
    response.write(start, 0)
    response.set(this.#resultAndEnd, size)
    return response
  }
}

const encoded = new WeakMap<object, PreEncoded>()

/** The encoding of a result that never changes. The same object is encoded once. */
export function preEncoded(result: object): PreEncoded {
  let known = encoded.get(result)
  if (known === undefined) {
    known = new PreEncoded(result)
    encoded.set(result, known)
  }
  return known
}
