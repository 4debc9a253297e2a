// Parses a request to the broker: the route, the JSON body within its limit, and the credentials in it.
import { BrokerError } from './errors.ts'

export type RequestBody = Readonly<Record<string, unknown>>

const MAX_BODY_BYTES = 16 * 1024
const ROUTES = { '/api/auth/refresh': 'refresh', '/api/auth/logout': 'logout' } as const

export type Route = (typeof ROUTES)[keyof typeof ROUTES]

/** @throws BrokerError not_found, method_not_allowed */
export function routeOf(request: Request): Route {
  const { pathname } = new URL(request.url)
  const route = Object.entries(ROUTES).find(([path]) => path === pathname)?.[1]
  if (!route) throw new BrokerError('not_found')
  if (request.method !== 'POST') throw new BrokerError('method_not_allowed')
  return route
}

/** @throws BrokerError unsupported_media_type, payload_too_large, invalid_request */
export async function readBody(request: Request): Promise<RequestBody> {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') throw new BrokerError('unsupported_media_type')
  const body = parseJson(await readBytes(request))
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new BrokerError('invalid_request')
  return body as RequestBody
}

async function readBytes(request: Request): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of request.body ?? []) {
      size += chunk.length
      if (size > MAX_BODY_BYTES) throw new BrokerError('payload_too_large')
      chunks.push(chunk)
    }
  } catch (error) {
    // A client that disconnects early is not a failure of the broker.
    throw error instanceof BrokerError ? error : new BrokerError('invalid_request', 'request_aborted')
  }
  return Buffer.concat(chunks)
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new BrokerError('invalid_request')
  }
}

/** @throws BrokerError invalid_request unless the body has a `refresh_token` that is a string */
export function refreshTokenOf(body: RequestBody): string {
  const { refresh_token: token } = body
  if (typeof token === 'string' && token !== '') return token
  throw new BrokerError('invalid_request')
}

/** The `session_id`. It becomes part of a URL at Clerk, so only characters of an id pass. @throws BrokerError invalid_request */
export function sessionIdOf(body: RequestBody): string {
  const { session_id: id } = body
  if (typeof id === 'string' && /^sess_[A-Za-z0-9]{1,64}$/.test(id)) return id
  throw new BrokerError('invalid_request')
}

/** The session token in the Authorization header. @throws BrokerError invalid_request */
export function bearerTokenOf(request: Request): string {
  const authorization = request.headers.get('authorization') ?? ''
  const [, token] = /^Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i.exec(authorization) ?? []
  if (token === undefined) throw new BrokerError('invalid_request')
  return token
}
