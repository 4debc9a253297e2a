// Mounts the broker in a server of Node.js: plain, Express, Connect, or Fastify with its raw request.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Random, randomText, systemRandom } from '../host/random.ts'
import { clientAddress } from './client-address.ts'
import type { BrokerRequest } from './request.ts'
import type { BrokerResponse } from './response.ts'

/** What the server tells the broker of a request. */
export interface RequestContext {
  /** The address of the client, for limits and the log. */
  readonly address?: string
  /** For the log. */
  readonly requestId?: string
}

export interface BrokerHandler {
  (request: BrokerRequest, context: RequestContext): Promise<Response>
  /** If it is there, it is called in place of the handler. */
  answer?(request: BrokerRequest, context: RequestContext): Promise<BrokerResponse>
}

export interface NodeHandlerOptions {
  /**
   * How many proxies of the operator's are in front of the server. If it is unset, the broker learns no address: behind
   * a proxy that was forgotten, one limit would count all clients.
   */
  readonly trustedHops?: number | undefined
  readonly random?: Random
}

/** What Express adds to a request: the path before a router has cut it, and the body that a parser has already read. */
type MountedRequest = IncomingMessage & { readonly originalUrl?: string; readonly body?: unknown }

export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void

const MAX_BODY_BYTES = 16 * 1024
// The handler sees these headers alone.
const FORWARDED: ReadonlySet<string> = new Set([
  'content-type',
  'authorization',
  'dpop',
  'origin',
  'access-control-request-method',
  'access-control-request-headers',
])

const REQUEST_ID = /^[\w.:-]{1,64}$/

/** A handler for `http.createServer` or `app.use('/api/auth', …)`; it answers each request that it is given. */
export function toNodeHandler(broker: BrokerHandler, options: NodeHandlerOptions = {}): NodeHandler {
  return (request, response) => void respond(broker, request, response, options).catch(() => response.destroy())
}

async function respond(
  broker: BrokerHandler,
  request: MountedRequest,
  response: ServerResponse,
  options: NodeHandlerOptions,
): Promise<void> {
  response.on('error', () => undefined)
  const context = contextOf(request, options)
  const brokerRequest = await toBrokerRequest(request)
  const answer = broker.answer?.(brokerRequest, context) ?? broker(brokerRequest, context).then(fromResponse)
  const { status, headers, text } = await answer
  // With its length the answer is written at once, otherwise in chunks.
  const length = text === null ? {} : { 'Content-Length': Buffer.byteLength(text) }
  response.writeHead(status, { 'X-Request-Id': String(context.requestId), ...headers, ...length }).end(text)
  request.resume() // drain a body that was not read, so that it does not block the response
}

function contextOf({ headers, socket }: IncomingMessage, options: NodeHandlerOptions): RequestContext {
  const { trustedHops, random = systemRandom } = options
  const given = String(headers['x-request-id'])
  const requestId = headers['x-request-id'] !== undefined && REQUEST_ID.test(given) ? given : randomText(random, 12)
  const forwardedFor = [headers['x-forwarded-for'] ?? ''].flat().join(', ')
  const address = trustedHops === undefined ? undefined : clientAddress(socket.remoteAddress, forwardedFor, trustedHops)
  return { requestId, ...(address === undefined ? {} : { address }) }
}

async function fromResponse(response: Response): Promise<BrokerResponse> {
  return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() }
}

/** Not a Request of the Fetch standard: to make one costs a tenth of a refresh. */
async function toBrokerRequest(request: MountedRequest): Promise<BrokerRequest> {
  const { headers, method = 'GET' } = request
  const body = method === 'GET' || method === 'HEAD' ? undefined : await bodyOf(request)
  return {
    method,
    url: targetOf(request),
    headers: {
      get(name) {
        const value = FORWARDED.has(name) ? headers[name] : undefined
        return value === undefined ? null : [value].flat().join(', ')
      },
    },
    body: body === undefined ? null : once(body),
  }
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}

/** The host is a constant: the handler reads only the path. A path that the parser would rewrite names no route. */
function targetOf({ originalUrl, url = '/' }: MountedRequest): string {
  const target = originalUrl ?? url
  const [path = ''] = target.split('?')
  const parsed = URL.canParse(`http://broker${target}`) ? new URL(`http://broker${target}`) : undefined
  return parsed?.pathname === path ? parsed.href : 'http://broker/'
}

/** The body as it came, or as a parser of the server's has read it. What is beyond the limit is not kept. */
async function bodyOf(request: MountedRequest): Promise<Buffer> {
  if (request.body !== undefined && request.readableDidRead) return bytesOf(request.body)
  const chunks: Buffer[] = []
  let size = 0
  await new Promise<void>((resolve) => {
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      chunks.push(chunk)
      if (size > MAX_BODY_BYTES) resolve() // one byte more is enough for the handler to refuse it
    })
    request.once('end', resolve).once('error', resolve).once('close', resolve)
  })
  request.removeAllListeners('data')
  return Buffer.concat(chunks)
}

function bytesOf(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
}
