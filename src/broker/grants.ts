// The broker's heart: what is exchanged for what. The order protects Clerk and the users: the proof, then who owns the session,
// then the limits of that user, and only then a request to Clerk. Codes and session tokens are used up last, just before the
// answer, so that a client can retry after a failure. A proof is used up before the limit counts it, so that a repeated one costs
// its owner nothing; but not while its user is over the limit, so that no account fills the memory of what was used.
import { type AuthorizationCodes, CODE_SECONDS, type CodeBinding } from './authorization-code.ts'
import type { ClerkSession } from './clerk-session.ts'
import type { ClerkSessions, IssuedToken } from './clerk-sessions.ts'
import type { ClerkTime } from './clerk-time.ts'
import type { DpopVerifier, Proof } from './dpop.ts'
import { BrokerError, OutdatedError } from './errors.ts'
import type { Limits } from './limits.ts'
import type { Grant, RefreshTokens, SessionReference } from './refresh-token.ts'
import type { CodeRequest, RefreshAnswer, TokenAnswer, TokenRequest } from './schemas.ts'
import type { SessionExtension } from './session-extension.ts'
import type { SessionTokenVerifier } from './session-token.ts'

/** Whether a session token may be exchanged for a refresh token: with a proof, without one as well, or not at all. */
export type SessionTokenExchange = 'bound' | 'unbound' | 'off'

export interface GrantsOptions {
  readonly tokens: SessionTokenVerifier
  readonly codes: AuthorizationCodes
  readonly refreshTokens: RefreshTokens
  readonly proofs: DpopVerifier
  readonly sessions: ClerkSessions
  readonly extension: SessionExtension
  readonly limits: Limits
  readonly issuers: readonly string[]
  readonly sessionTokens: SessionTokenExchange
  /** Unix time in seconds from which a bearer token of version 1.0 is refused; undefined for never. */
  readonly unboundUntil: number | undefined
  readonly time: ClerkTime
}

/** What a request presents, apart from its body. */
export interface Presented {
  /** The value of the header DPoP; null without one. */
  readonly dpop: string | null
  readonly path: string
  /** Called as soon as the broker knows to which session the request belongs, for the log. */
  readonly onKnown: (session: SessionReference) => void
}

export interface Answered<T> {
  readonly body: T
  /** Whether the proof had a nonce: then the answer brings the next one. */
  readonly hasNonce: boolean
}

const CHECK_SECONDS = 3600 // how often Clerk is asked about a session whose tokens it issues

export class Grants {
  readonly #options: GrantsOptions

  constructor(options: GrantsOptions) {
    this.#options = options
  }

  /** A code for a session token of the page. @param origin of the page; null if the request has none */
  async authorize(token: string, body: CodeRequest, origin: string | null, presented: Presented) {
    const { tokens, codes, time } = this.#options
    await time.settle()
    const opened = await tokens.verify(token, body.session_id)
    presented.onKnown(opened)
    if (origin !== null && origin !== opened.azp) throw new BrokerError('invalid_grant', 'origin_mismatch')
    await this.#admit(opened, undefined)
    const { sessionId, userId, issuer, azp } = opened
    const binding: CodeBinding = {
      ...{ sessionId, userId, issuer, azp },
      codeChallenge: body.code_challenge,
      redirectUri: body.redirect_uri,
    }
    await opened.use()
    return { code: await codes.issue(binding), expires_in: CODE_SECONDS }
  }

  /** The first tokens for a code. */
  async exchangeCode(body: TokenRequest, presented: Presented): Promise<Answered<TokenAnswer>> {
    const { proofs, codes, sessions, time } = this.#options
    await time.settle()
    const proof = await proofs.verify(presented.dpop, presented.path)
    const code = await codes.open(body.code, { codeVerifier: body.code_verifier, redirectUri: body.redirect_uri })
    presented.onKnown(code)
    await this.#admit(code, proof)
    const session = await sessions.find(code)
    const [issued, user] = await settled([sessions.issueToken(code), sessions.findUser(code.userId)])
    const grant = await this.#newGrant(code, session, proof)
    await code.use()
    return { body: { ...(await this.#answer(grant, issued)), user }, hasNonce: proof.hasNonce }
  }

  /** The first tokens for a session token, for the page that has no code. */
  async exchangeToken(token: string, sessionId: string, presented: Presented): Promise<Answered<RefreshAnswer>> {
    const { proofs, tokens, sessions, sessionTokens, time } = this.#options
    if (sessionTokens === 'off') throw new BrokerError('invalid_grant', 'session_tokens_off')
    await time.settle()
    const isProofNeeded = sessionTokens === 'bound' || presented.dpop !== null
    const proof = isProofNeeded ? await proofs.verify(presented.dpop, presented.path) : undefined
    const opened = await tokens.verify(token, sessionId)
    presented.onKnown(opened)
    await this.#admit(opened, proof)
    const session = await sessions.find(opened)
    const issued = await sessions.issueToken(opened)
    const grant = await this.#newGrant(opened, session, proof)
    await opened.use()
    return { body: await this.#answer(grant, issued), hasNonce: proof?.hasNonce ?? false }
  }

  async refresh(refreshToken: string, presented: Presented): Promise<Answered<RefreshAnswer>> {
    const { refreshTokens, time } = this.#options
    await time.settle()
    const grant = await refreshTokens.open(refreshToken)
    presented.onKnown(grant)
    const proof = await this.#proofOf(grant, presented)
    await this.#admit(grant, proof)
    const [issued, checked] = await this.#refreshAtClerk(grant)
    const next = { ...grant, ...checked, jkt: grant.jkt ?? proof?.jkt ?? null }
    return { body: await this.#answer(next, issued), hasNonce: proof?.hasNonce ?? false }
  }

  async logout(refreshToken: string, presented: Presented): Promise<Answered<{ readonly revoked: true }>> {
    const { refreshTokens, sessions, time } = this.#options
    await time.settle()
    const grant = await refreshTokens.open(refreshToken, { allowExpired: true })
    presented.onKnown(grant)
    const proof = await this.#proofOf(grant, presented)
    await this.#admit(grant, proof)
    await sessions.revoke(grant)
    return { body: { revoked: true }, hasNonce: proof?.hasNonce ?? false }
  }

  async #newGrant(reference: SessionReference, session: ClerkSession, proof: Proof | undefined): Promise<Grant> {
    const { time, extension, refreshTokens } = this.#options
    const { sessionId, userId, issuer } = reference
    const now = time.now()
    const chainEndsAt = refreshTokens.chainEndOf({ startedAt: now })
    return {
      ...{ sessionId, userId, issuer },
      jkt: proof?.jkt ?? null,
      startedAt: now,
      sessionExpiresAt: await extension.extend(session, chainEndsAt),
      sessionCheckedAt: now,
    }
  }

  /** The proof for a grant: of its key if it is bound, of any key if it is not, and undefined if none is needed or sent. */
  async #proofOf({ jkt }: Grant, { dpop, path }: Presented): Promise<Proof | undefined> {
    if (jkt === null) this.#checkUnbound()
    if (jkt === null && dpop === null) return undefined
    const proof = await this.#options.proofs.verify(dpop, path)
    if (jkt !== null && proof.jkt !== jkt) throw new BrokerError('invalid_dpop_proof', 'dpop_other_key')
    return proof
  }

  #checkUnbound(): void {
    const { unboundUntil, time } = this.#options
    const now = time.now()
    if (unboundUntil !== undefined && now >= unboundUntil) throw new OutdatedError('unbound_token_outdated', now)
  }

  /** Lets a request of this user through if it is within the limit, and uses its proof up. */
  async #admit({ userId, issuer }: SessionReference, proof: Proof | undefined): Promise<void> {
    const { issuers, limits } = this.#options
    if (!issuers.includes(issuer)) throw new BrokerError('misconfigured', 'issuer_not_served')
    const refuse = (waitSeconds: number) => {
      if (waitSeconds > 0) throw new BrokerError('too_many_requests', 'too_many_requests', waitSeconds)
    }
    refuse(limits.exceededFor?.('user', userId) ?? 0)
    await proof?.use()
    refuse(await limits.take('user', userId))
  }

  /** A new token, and what is new about the session if Clerk was asked. */
  async #refreshAtClerk(
    grant: Grant,
  ): Promise<[IssuedToken, Partial<Pick<Grant, 'sessionExpiresAt' | 'sessionCheckedAt'>>]> {
    const { sessions, extension, refreshTokens, time } = this.#options
    const chainEndsAt = refreshTokens.chainEndOf(grant)
    const mayHaveEnded = time.now() >= grant.sessionExpiresAt
    const isCheckDue = mayHaveEnded || Math.abs(time.now() - grant.sessionCheckedAt) >= CHECK_SECONDS
    if (!isCheckDue && !extension.isDue(grant.sessionExpiresAt, chainEndsAt))
      return [await sessions.issueToken(grant), {}]
    const [found, issued] = await Promise.allSettled([sessions.find(grant), sessions.issueToken(grant)])
    // The session's failure explains that of the token. A check that only failed to reach Clerk waits for the next refresh,
    // unless the session's known end has passed.
    if (found.status === 'rejected' && (mayHaveEnded || !isTemporary(found.reason))) throw found.reason
    if (issued.status === 'rejected') throw issued.reason
    if (found.status === 'rejected') return [issued.value, {}]
    const sessionExpiresAt = await extension.extend(found.value, chainEndsAt)
    return [issued.value, { sessionExpiresAt, sessionCheckedAt: time.now() }]
  }

  async #answer(grant: Grant, { token, lifetime }: IssuedToken): Promise<RefreshAnswer> {
    const { refreshTokens, time } = this.#options
    const { sessionId, sessionExpiresAt, expiresAt } = grant
    return {
      token,
      expires_in: lifetime,
      session_id: sessionId,
      // The previous refresh token stays valid, so that a client that lost this answer can retry.
      // A clock that may be wrong must not bring its end forward.
      refresh_token: await refreshTokens.issue(grant, time.isRight() ? undefined : expiresAt),
      session_expires_at: sessionExpiresAt,
    }
  }
}

/** As `Promise.all`, but waits for the other request when one fails: nothing runs on after the answer. */
async function settled<A, B>(both: readonly [Promise<A>, Promise<B>]): Promise<[A, B]> {
  await Promise.allSettled(both)
  return await Promise.all(both)
}

function isTemporary(error: unknown): boolean {
  return error instanceof BrokerError && (error.status === 503 || error.status === 429 || error.status === 502)
}
