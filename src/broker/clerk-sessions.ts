// Sessions at Clerk: issues their tokens, asks about them, revokes them.
//
// A refresh costs one request: the new token itself says that its session lives. Clerk is asked about the session only if it
// refuses the token, and now and then, since only the session tells when it ends.
import { decodeJwt } from 'jose'
import type { ClerkApi } from './clerk-api.ts'
import { ClerkRejection, fromRejection, fromSessionRejection, isUnknownToClerk } from './clerk-errors.ts'
import type { ClerkInstanceProof } from './clerk-instance-proof.ts'
import { type ClerkSession, type ClerkUser, parseSession, parseUser, sessionPath, userPath } from './clerk-session.ts'
import { BrokerError } from './errors.ts'
import type { SessionReference } from './refresh-token.ts'

export interface ClerkSessionsOptions {
  readonly api: ClerkApi
  readonly instance: ClerkInstanceProof
  /** JWT template for issued tokens; undefined issues session tokens. */
  readonly template: string | undefined
  /** Lifetime of issued tokens in seconds; undefined leaves it to Clerk. */
  readonly tokenSeconds: number | undefined
}

export interface IssuedToken {
  readonly token: string
  /** Seconds. */
  readonly lifetime: number
}

export class ClerkSessions {
  readonly #options: ClerkSessionsOptions

  constructor(options: ClerkSessionsOptions) {
    this.#options = options
  }

  /** The active session of this user. @throws BrokerError invalid_grant if it is over, or another user's */
  async find({ sessionId, userId, issuer }: SessionReference): Promise<ClerkSession> {
    const request = { operation: 'session', method: 'GET', target: sessionPath(sessionId) } as const
    const body = await this.#options.api.send(request).catch(async (error: unknown) => {
      if (isUnknownToClerk(error)) await this.#refuseMissing(issuer)
      throw fromSessionRejection(error)
    })
    const session = parseSession(body, sessionId)
    if (session.userId !== userId) throw new BrokerError('invalid_grant', 'user_mismatch')
    if (session.status === 'pending') throw new BrokerError('interaction_required', 'session_pending')
    // Clerk knows when a session ends: one that it calls active is, whatever any clock says of `expire_at`.
    if (session.status !== 'active') throw new BrokerError('invalid_grant', 'session_ended')
    return session
  }

  /** @throws BrokerError invalid_grant if Clerk does not know the user */
  async findUser(userId: string): Promise<ClerkUser> {
    const request = { operation: 'user', method: 'GET', target: userPath(userId) } as const
    const body = await this.#options.api.send(request).catch((error: unknown) => {
      if (isUnknownToClerk(error)) throw new BrokerError('invalid_grant', 'user_not_found')
      throw fromSessionRejection(error)
    })
    return parseUser(body, userId)
  }

  /** A new token of the session. @throws BrokerError invalid_grant if the session is over */
  async issueToken(session: SessionReference): Promise<IssuedToken> {
    const { template, tokenSeconds, api, instance } = this.#options
    const suffix = template === undefined ? '' : `/${encodeURIComponent(template)}`
    const body = await api
      .send({
        operation: 'mint',
        method: 'POST',
        target: `${sessionPath(session.sessionId)}/tokens${suffix}`,
        ...(tokenSeconds === undefined ? {} : { body: { expires_in_seconds: tokenSeconds } }),
      })
      .catch((error: unknown) => this.#explain(error, session))
    const { token, claims } = parseToken(body)
    if (claims.sub !== session.userId) throw new BrokerError('invalid_response', 'token_of_another_user')
    if (claims.sts === 'pending') throw new BrokerError('interaction_required', 'session_pending')
    if (claims.iss === session.issuer) instance.confirm(session.issuer)
    return { token, lifetime: claims.exp - claims.iat }
  }

  /** Revokes the session; succeeds if Clerk no longer knows it. @throws BrokerError */
  async revoke({ sessionId, issuer }: SessionReference): Promise<void> {
    const request = { operation: 'revoke', method: 'POST', target: `${sessionPath(sessionId)}/revoke` } as const
    try {
      await this.#options.api.send(request)
    } catch (error) {
      if (!isUnknownToClerk(error)) throw fromSessionRejection(error)
      await this.#options.instance.check(issuer)
    }
  }

  /** Clerk refused a token. It answers 404 both for a session that is over and for a missing template: the session tells. */
  async #explain(error: unknown, session: SessionReference): Promise<never> {
    const known = fromRejection(error)
    if (!(known instanceof ClerkRejection)) throw known
    await this.find(session)
    if (this.#options.template !== undefined && known.status === 404) {
      throw new BrokerError('misconfigured', 'template_not_found')
    }
    throw new BrokerError('misconfigured', 'token_refused')
  }

  async #refuseMissing(issuer: string): Promise<never> {
    await this.#options.instance.check(issuer)
    throw new BrokerError('invalid_grant', 'session_not_found')
  }
}

interface TokenClaims {
  readonly sub: string
  readonly exp: number
  readonly iat: number
  readonly iss: unknown
  readonly sts: unknown
}

/** @throws BrokerError invalid_response */
function parseToken(body: unknown): { readonly token: string; readonly claims: TokenClaims } {
  const token = typeof body === 'object' && body !== null && 'jwt' in body ? body.jwt : undefined
  if (typeof token !== 'string' || !COMPACT_JWS.test(token)) throw new BrokerError('invalid_response')
  const { sub, exp, iat, iss, sts } = claimsOf(token)
  if (typeof sub !== 'string' || typeof exp !== 'number' || typeof iat !== 'number' || exp <= iat) {
    throw new BrokerError('invalid_response')
  }
  return { token, claims: { sub, exp, iat, iss, sts } }
}

const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/

function claimsOf(token: string) {
  try {
    return decodeJwt(token)
  } catch {
    throw new BrokerError('invalid_response')
  }
}
