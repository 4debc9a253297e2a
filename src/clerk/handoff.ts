// Sign-in by hand-off: CADZERO's signed-in page hands a Clerk session token to the callback, and the broker refreshes it.
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import { type Random, randomText } from '../host/random.ts'
import type { Session } from '../store/session.ts'
import { BrokerClient } from './broker-client.ts'
import { displayText } from './display-text.ts'
import { CallbackRefusedError, RejectedError, SessionEndedError, SignInError, UnavailableError } from './errors.ts'
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
import { SessionTokenVerifier } from './session-token.ts'

export interface HandoffOptions {
  readonly issuer: string
  /** The page that hands the session token over. */
  readonly signInUrl: string
  /** Undefined if nothing is refreshed: then a session ends with its token. */
  readonly brokerUrl: string | undefined
  readonly authorizedParties: readonly string[]
  /** Whether the page returns the state that the callback URL carries. */
  readonly requireState: boolean
  readonly fetch: Fetch
  readonly clock: Clock
  readonly random: Random
}

const PARAMS = ['token', 'session_id', 'user_id', 'user_email', 'user_name', 'error'] as const

export class Handoff {
  readonly #options: HandoffOptions
  readonly #verifier: SessionTokenVerifier
  readonly #broker: BrokerClient | undefined

  constructor(options: HandoffOptions) {
    const { brokerUrl, fetch, clock } = options
    this.#options = options
    this.#verifier = new SessionTokenVerifier(options)
    this.#broker = brokerUrl === undefined ? undefined : new BrokerClient(brokerUrl, fetch, clock)
  }

  /** Needs no request: the page's address is in the configuration. */
  authorize(redirectUri: string, { loginHint, prompt }: AuthorizationOptions = {}): AuthorizationRequest {
    const { signInUrl, requireState, random } = this.#options
    const state = requireState ? randomText(random, 32) : null
    const redirect = new URL(redirectUri)
    if (state !== null) redirect.searchParams.set('state', state)
    const url = new URL(signInUrl)
    url.searchParams.set('redirect_url', redirect.href)
    if (loginHint !== undefined) url.searchParams.set('login_hint', loginHint)
    if (prompt !== undefined) url.searchParams.set('prompt', prompt)
    return { url: url.href, state, exchange: (callback) => this.#exchange(callback, state !== null) }
  }

  async refresh(session: Session): Promise<Renewal> {
    if (!this.#broker) throw new SessionEndedError('session_expired')
    return await this.#broker.refresh(session, session.sessionExpiresAt)
  }

  async revoke({ accessToken, refreshToken }: Session): Promise<Revocation> {
    const revoked = refreshToken !== null && this.#broker !== undefined && (await this.#broker.revoke(refreshToken))
    // A session token is a JWT: it stays valid until it expires, even if its session has ended.
    return { revoked, accessTokenValidUntil: Math.floor(accessToken.receivedAt + accessToken.lifetime) }
  }

  /**
   * A session whose user and session ID are those of the verified token. Name and e-mail address are for display only.
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
      user: { id: claims.userId, email: user.email, name: user.name },
      sessionId: claims.sessionId ?? sessionId,
      sessionExpiresAt: Math.floor(receivedAt + claims.lifetime), // until the broker knows the real end
      organization: organizationOf(unverifiedClaims(token) ?? {}), // by now the token has been verified
    }
    return { ...grant, ...(await this.#firstRefresh(grant)) }
  }

  async #exchange(callback: URL, hasState: boolean): Promise<Grant> {
    const params = callback.searchParams
    // Without a state, any web site could have sent the error.
    if (hasState && params.get('error') === 'access_denied') throw new SignInError('access_denied')
    const [token, userId] = [params.get('token'), params.get('user_id')]
    if (!token || !userId || PARAMS.some((name) => params.getAll(name).length > 1)) {
      throw new CallbackRefusedError('incomplete')
    }
    const user = {
      id: userId,
      email: displayText(params.get('user_email')),
      name: displayText(params.get('user_name')),
    }
    try {
      return await this.adopt({ token, sessionId: params.get('session_id') || null, user })
    } catch (error) {
      // The token may be valid: the user can send it again.
      throw error instanceof UnavailableError ? new CallbackRefusedError('unverified') : error
    }
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
