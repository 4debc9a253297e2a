// The broker: trades a session token, or a refresh token of its own, for a new session token. A handler for any Fetch-style server.
import { type Clock, systemClock } from '../host/clock.ts'
import { Clerk } from './clerk.ts'
import { BrokerError } from './errors.ts'
import { Limiter } from './limiter.ts'
import { RefreshTokens } from './refresh-token.ts'

/** All that a line of the log may say: no token, no header, no body. */
export interface BrokerLogFields {
  readonly event: 'refreshed' | 'logged_out' | 'refused' | 'failed'
  readonly status: number
  /** A code from a closed list. */
  readonly reason?: string
  readonly sessionId?: string
  readonly ms: number
}

export interface BrokerOptions {
  /** Clerk's secret key, `sk_…`. */
  readonly secretKey: string
  /** The broker's own keys, 32 bytes each: the first seals refresh tokens, all open them. */
  readonly keys: readonly Uint8Array[]
  /** The instances whose tokens are taken, by their Frontend API URL. */
  readonly issuers: readonly string[]
  readonly apiUrl?: string
  readonly jwtKey?: string
  /** Origins that a token's `azp` may name; none for any. */
  readonly authorizedParties?: readonly string[]
  /** Make tokens from this JWT template in place of the session token. */
  readonly template?: string
  /** Seconds that tokens are to live, 30 or more. Clerk's own (60) where left out. */
  readonly tokenSeconds?: number
  /** Seconds after which a refresh token is outdated, whatever its session says. */
  readonly refreshTokenSeconds?: number
  /** Requests a minute for each session and copy of the broker. */
  readonly requestsPerMinute?: number
  /** Seconds for each call to Clerk. */
  readonly deadlineSeconds?: number
  readonly log?: (fields: BrokerLogFields) => void
  readonly clock?: Clock
}

export type Broker = (request: Request) => Promise<Response>

const LARGEST_BODY = 16 * 1024
const DAY = 86_400
const ROUTES = ['/api/auth/refresh', '/api/auth/logout'] as const

/** It keeps no state but counters: any number of copies with the same keys serve the same people. */
export function createBroker(options: BrokerOptions): Broker {
  const { log = () => undefined, clock = systemClock } = options
  const clerk = new Clerk({
    secretKey: options.secretKey,
    apiUrl: options.apiUrl ?? 'https://api.clerk.com',
    jwtKey: options.jwtKey,
    issuers: options.issuers,
    authorizedParties: options.authorizedParties ?? [],
    template: options.template,
    tokenSeconds: options.tokenSeconds,
    deadlineSeconds: options.deadlineSeconds ?? 5,
    clock,
  })
  const refreshTokens = new RefreshTokens(options.keys, options.refreshTokenSeconds ?? 90 * DAY, clock)
  const limiter = new Limiter(options.requestsPerMinute ?? 30, clock)

  const limit = (sessionId: string) => {
    const wait = limiter.take(sessionId)
    if (wait > 0) throw new BrokerError('too_many_requests', 'too_many_requests', wait)
  }

  const refresh = async (body: Body, authorization: string | null) => {
    const held =
      body.refresh_token === undefined
        ? await clerk.prove(bearer(authorization), sessionId(body.session_id))
        : await refreshTokens.open(required(body.refresh_token))
    if (!options.issuers.includes(held.issuer)) throw new BrokerError('invalid_grant', 'foreign_instance')
    limit(held.sessionId)
    const { token, lifetime, sessionEnd } = await clerk.renew(held)
    return {
      sessionId: held.sessionId,
      answer: {
        token,
        expires_in: lifetime,
        session_id: held.sessionId,
        // The one from before stays good, since nobody remembers it: an answer that was lost signs nobody out.
        refresh_token: await refreshTokens.seal(held, sessionEnd),
        session_expires_at: sessionEnd,
      },
    }
  }

  const logout = async (body: Body) => {
    const { sessionId } = await refreshTokens.open(required(body.refresh_token), true)
    limit(sessionId)
    await clerk.revoke(sessionId)
    return { sessionId, answer: { revoked: true } }
  }

  return async (request) => {
    const startedAt = clock.monotonic()
    const ms = () => Math.round((clock.monotonic() - startedAt) * 1000)
    try {
      const route = routeOf(request)
      const body = await readBody(request)
      const isRefresh = route === '/api/auth/refresh'
      const done = isRefresh ? await refresh(body, request.headers.get('authorization')) : await logout(body)
      log({ event: isRefresh ? 'refreshed' : 'logged_out', status: 200, sessionId: done.sessionId, ms: ms() })
      return Response.json(done.answer, { headers: { 'Cache-Control': 'no-store' } })
    } catch (error) {
      const failure = error instanceof BrokerError ? error : new BrokerError('set_up', 'unexpected')
      log({
        event: failure.status >= 500 ? 'failed' : 'refused',
        status: failure.status,
        reason: failure.reason,
        ms: ms(),
      })
      return failure.toResponse()
    }
  }
}

type Body = Readonly<Record<string, unknown>>

function routeOf(request: Request): (typeof ROUTES)[number] {
  const { pathname } = new URL(request.url)
  const route = ROUTES.find((one) => one === pathname)
  if (!route) throw new BrokerError('not_found')
  if (request.method !== 'POST') throw new BrokerError('method_not_allowed')
  return route
}

async function readBody(request: Request): Promise<Body> {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') throw new BrokerError('not_json')
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of request.body ?? []) {
      size += chunk.length
      if (size > LARGEST_BODY) throw new BrokerError('too_large')
      chunks.push(chunk)
    }
  } catch (error) {
    // Who hangs up half-way has made no mistake of ours.
    throw error instanceof BrokerError ? error : new BrokerError('invalid_request', 'cut_short')
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Body
  } catch {
    // no JSON, then
  }
  throw new BrokerError('invalid_request')
}

function required(value: unknown): string {
  if (typeof value === 'string' && value !== '' && value.length <= LARGEST_BODY) return value
  throw new BrokerError('invalid_request')
}

/** It becomes a part of an address at Clerk, so it is nothing but an id. */
function sessionId(value: unknown): string {
  if (typeof value === 'string' && /^sess_[A-Za-z0-9]{1,64}$/.test(value)) return value
  throw new BrokerError('invalid_request')
}

function bearer(authorization: string | null): string {
  const [, token] = /^Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i.exec(authorization ?? '') ?? []
  if (token === undefined) throw new BrokerError('invalid_request')
  return token
}
