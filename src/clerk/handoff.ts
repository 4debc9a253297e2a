// Sign-in by hand-off: CADZERO's signed-in page sends a code to the callback, which the broker exchanges for a session. A page
// of version 1 sends a Clerk session token instead.
import { createHash } from 'node:crypto'
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import { type Random, randomText } from '../host/random.ts'
import type { Session } from '../store/session.ts'
import { BrokerClient } from './broker-client.ts'
import { displayText } from './display-text.ts'
import { newProofKey } from './dpop.ts'
import {
  CallbackRefusedError,
  RejectedError,
  rejectedReason,
  SessionEndedError,
  SignInError,
  UnavailableError,
} from './errors.ts'
import type {
  AuthorizationOptions,
  AuthorizationRequest,
  Grant,
  HandedOver,
  Renewal,
  Revocation,
} from './identity-provider.ts'
import { unverifiedClaims } from './jwt.ts'
import { organizationOf } from './organization.ts'
import { type SessionClaims, SessionTokenVerifier } from './session-token.ts'

export interface HandoffOptions {
  readonly issuer: string
  /** The page that hands the session over. */
  readonly signInUrl: string
  /** Undefined if nothing is refreshed: then a session ends with its token. */
  readonly brokerUrl: string | undefined
  readonly authorizedParties: readonly string[]
  /** Whether the page returns the state that the callback URL carries. */
  readonly requireState: boolean
  /** Whether the page may send a session token in the callback, as pages of version 1 do. */
  readonly tokenInCallback: boolean
  /** The name of this computer, which the page shows. */
  readonly clientName: string
  readonly fetch: Fetch
  readonly clock: Clock
  readonly random: Random
}

const LONGEST_RETRY_DELAY = 5 // s; the browser shows no answer until then, and a code lives for a minute

const PARAMS = ['code', 'token', 'session_id', 'user_id', 'user_email', 'user_name', 'error'] as const

/** What only this sign-in knows. */
interface Attempt {
  /** Undefined without a broker, which a code needs. */
  readonly codeVerifier: string | undefined
  readonly state: string | null
  readonly redirectUri: string
}

export class Handoff {
  readonly #options: HandoffOptions
  readonly #verifier: SessionTokenVerifier
  readonly #broker: BrokerClient | undefined

  constructor(options: HandoffOptions) {
    const { brokerUrl: url, fetch, clock, random } = options
    this.#options = options
    this.#verifier = new SessionTokenVerifier(options)
    this.#broker = url === undefined ? undefined : new BrokerClient({ url, fetch, clock, random })
  }

  /** Needs no request: the page's address is in the configuration. */
  authorize(redirectUri: string, { loginHint, prompt }: AuthorizationOptions = {}): AuthorizationRequest {
    const { signInUrl, requireState, clientName, random } = this.#options
    const codeVerifier = this.#broker === undefined ? undefined : randomText(random, 32)
    const state = requireState || codeVerifier !== undefined ? randomText(random, 32) : null
    const redirect = new URL(redirectUri)
    if (requireState && state !== null) redirect.searchParams.set('state', state)
    const url = new URL(signInUrl)
    const { searchParams } = url
    searchParams.set('redirect_url', redirect.href)
    if (codeVerifier !== undefined) {
      // The built-in page is not known to keep a query of the callback. A page of version 2 adds this state to it.
      if (!requireState) searchParams.set('state', String(state))
      searchParams.set('code_challenge', challengeOf(codeVerifier))
      searchParams.set('code_challenge_method', 'S256')
      searchParams.set('client_name', displayText(clientName) ?? 'this computer')
    }
    if (loginHint !== undefined) searchParams.set('login_hint', loginHint)
    if (prompt !== undefined) searchParams.set('prompt', prompt)
    const attempt = { codeVerifier, state, redirectUri: redirect.href }
    return {
      url: url.href,
      state,
      mayLackState: !requireState,
      exchange: (callback) => this.#exchange(callback, attempt),
    }
  }

  /**
   * @throws SessionEndedError, RejectedError, UnavailableError. A session that the broker does not know yet ends with its token,
   *   and not because the broker refuses the token: it may have taken it before, in an exchange whose answer was lost.
   */
  async refresh(session: Session): Promise<Renewal> {
    if (!this.#broker) throw new SessionEndedError('session_expired')
    try {
      return await this.#broker.refresh(session, session.sessionExpiresAt)
    } catch (error) {
      throw error instanceof SessionEndedError && session.refreshToken === null ? new RejectedError('rejected') : error
    }
  }

  async revoke({ accessToken, refreshToken, proofKey }: Session): Promise<Revocation> {
    const revoked = refreshToken !== null && ((await this.#broker?.revoke(refreshToken, proofKey)) ?? false)
    // A session token is a JWT: it stays valid until it expires, even if its session has ended.
    return { revoked, accessTokenValidUntil: Math.floor(accessToken.receivedAt + accessToken.lifetime) }
  }

  /**
   * A session whose user and session ID are those of the verified token. Name and e-mail address are what Clerk says in it or
   * through the broker, and otherwise those handed over.
   * @throws CallbackRefusedError if the token proves nothing or belongs to another user or session; UnavailableError
   */
  async adopt({ token, sessionId, user }: HandedOver): Promise<Grant> {
    const { clock } = this.#options
    const receivedAt = clock.now()
    const claims = await this.#verifier.verify(token)
    const isOther = claims.sessionId !== null && sessionId !== null && claims.sessionId !== sessionId
    if (isOther || (user.id !== null && user.id !== claims.userId)) throw new CallbackRefusedError('mismatched')
    const grant: Grant = {
      accessToken: { value: token, receivedAt, lifetime: claims.lifetime },
      refreshToken: null,
      sessionId: claims.sessionId ?? sessionId,
      sessionExpiresAt: Math.floor(receivedAt + claims.lifetime), // until the broker knows the real end
      ...describe(token, claims, user),
      ...(this.#broker === undefined ? {} : { proofKey: await newProofKey() }),
    }
    return { ...grant, ...(await this.#firstRefresh(grant)) }
  }

  async #exchange(callback: URL, attempt: Attempt): Promise<Grant> {
    const params = callback.searchParams
    if (PARAMS.some((name) => params.getAll(name).length > 1)) throw new CallbackRefusedError('incomplete')
    // Without its state, any web site could have sent the error. The listener has compared the state.
    const error = attempt.state !== null && params.has('state') ? params.get('error') : null
    if (error !== null) throw failureOf(error)
    const code = params.get('code')
    try {
      return code ? await this.#redeem(code, attempt) : await this.#adopt(params)
    } catch (error) {
      // The token may be valid: the user can send it again.
      throw error instanceof UnavailableError ? new CallbackRefusedError('unverified') : error
    }
  }

  async #redeem(code: string, { codeVerifier, redirectUri }: Attempt): Promise<Grant> {
    const { issuer, clock } = this.#options
    const broker = this.#broker
    if (broker === undefined || codeVerifier === undefined) throw new CallbackRefusedError('incomplete')
    const redeem = () => broker.redeem({ code, codeVerifier, redirectUri }, issuer)
    try {
      return await redeem().catch(async (error: unknown) => {
        if (!isSoonAvailable(error)) throw error
        await clock.wait(error.retryAfterSeconds)
        return await redeem()
      })
    } catch (error) {
      throw error instanceof SessionEndedError ? new CallbackRefusedError('expired') : error
    }
  }

  async #adopt(params: URLSearchParams): Promise<Grant> {
    const [token, userId] = [params.get('token'), params.get('user_id')]
    if (!token || !userId || !this.#options.tokenInCallback) throw new CallbackRefusedError('incomplete')
    const user = { id: userId, email: null, name: null } // the query may claim any name
    return await this.adopt({ token, sessionId: params.get('session_id') || null, user })
  }

  /**
   * Refreshes at once, because the broker accepts a session token as proof only until it expires. If the broker is missing
   * or unavailable, the sign-in succeeds without it.
   */
  async #firstRefresh(grant: Grant): Promise<Partial<Renewal>> {
    if (!this.#broker || grant.sessionId === null) return {}
    try {
      return await this.#broker.refresh(grant, null)
    } catch (error) {
      const isKnown =
        error instanceof UnavailableError || error instanceof RejectedError || error instanceof SessionEndedError
      if (isKnown) return {}
      throw error
    }
  }
}

/** The broker names the time of another try: then it has not used the code up. */
function isSoonAvailable(error: unknown): error is UnavailableError & { readonly retryAfterSeconds: number } {
  return error instanceof UnavailableError && (error.retryAfterSeconds ?? Infinity) <= LONGEST_RETRY_DELAY
}

/** RFC 7636 section 4.2. */
function challengeOf(codeVerifier: string): string {
  return createHash('sha256').update(codeVerifier).digest('base64url')
}

/** What an error of the page means (RFC 6749 section 4.1.2.1). */
function failureOf(error: string): Error {
  if (error === 'access_denied') return new SignInError('access_denied')
  if (error === 'server_error' || error === 'temporarily_unavailable') return new UnavailableError('server')
  return new RejectedError(rejectedReason(error))
}

/** The user as the verified token describes them, and otherwise as known. Clerk adds name and e-mail address only if told to. */
function describe(
  token: string,
  { userId }: SessionClaims,
  known: HandedOver['user'],
): Pick<Grant, 'user' | 'organization'> {
  const claims = unverifiedClaims(token) ?? {} // by now the token has been verified
  const user = {
    id: userId,
    email: displayText(claims.email) ?? displayText(known.email),
    name: displayText(claims.name) ?? displayText(known.name),
  }
  return { user, organization: organizationOf(claims) }
}
