// The requests of a server to an API, over connections that are kept open. A daemon uses Fetch, which keeps none.
import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'

export interface ApiRequest {
  readonly url: URL
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** Aborting closes the connection. */
  readonly signal: AbortSignal
}

export interface ApiResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface ApiClientOptions {
  /** Connections to one server. Further requests wait until one is free. */
  readonly maxConnections: number
  /** The size of a response. */
  readonly maxBytes: number
}

export class ApiClient {
  readonly #maxBytes: number
  readonly #http: Agent
  readonly #https: HttpsAgent

  constructor({ maxConnections, maxBytes }: ApiClientOptions) {
    const options = { keepAlive: true, maxSockets: maxConnections, scheduling: 'lifo' } as const
    this.#maxBytes = maxBytes
    this.#http = new Agent(options)
    this.#https = new HttpsAgent({ ...options, rejectUnauthorized: true })
  }

  /** @throws an error of the network, or an AbortError */
  async send(request: ApiRequest): Promise<ApiResponse> {
    try {
      return await this.#sendOnce(request)
    } catch (error) {
      // The server closed a kept connection at the moment at which the request was sent on it.
      if (error instanceof StaleConnectionError) return await this.#sendOnce(request)
      throw error
    }
  }

  close(): void {
    this.#http.destroy()
    this.#https.destroy()
  }

  async #sendOnce({ url, method, headers, body, signal }: ApiRequest): Promise<ApiResponse> {
    const isTls = url.protocol === 'https:'
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const options = { method, headers: { ...headers, ...length }, signal }
    const request = isTls
      ? httpsRequest(url, { ...options, agent: this.#https })
      : httpRequest(url, { ...options, agent: this.#http })
    request.on('error', () => undefined) // once() listens for the first alone
    request.end(body)
    let response: IncomingMessage
    try {
      ;[response] = (await once(request, 'response')) as [IncomingMessage]
    } catch (error) {
      const isStale = request.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET'
      throw isStale && !signal.aborted ? new StaleConnectionError() : error
    }
    const { statusCode: status = 0, headers: received } = response
    return { status, headers: received, body: await readAll(response, this.#maxBytes) }
  }
}

class StaleConnectionError extends Error {}

/** By events: an iterator over a response costs as much as to read it. */
async function readAll(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  response.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > maxBytes) response.destroy(new RangeError('the response is too large'))
    else chunks.push(chunk)
  })
  await once(response, 'end') // rejects with the error by which the response is destroyed
  return Buffer.concat(chunks)
}
