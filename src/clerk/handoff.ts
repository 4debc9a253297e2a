// Sign-in by hand-off: CADZERO's signed-in page hands a Clerk session token to the callback; the broker renews it.
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import { type Random, randomText } from '../host/random.ts'
import type { Session } from '../store/session.ts'
import { BrokerClient } from './broker-client.ts'
import { CallbackRefusedError, RejectedError, SessionEndedError, SignInError, UnavailableError } from './errors.ts'
import type { AuthorizationRequest, Grant, HandedOver, Renewal, Revocation } from './identity-provider.ts'
import { SessionTokenCheck } from './session-token.ts'

export interface HandoffOptions {
  readonly issuer: string
  /** The page that hands over. */
  readonly signInUrl: string
  /** Undefined where nothing is refreshed: then a session ends with its token. */
  readonly brokerUrl: string | undefined
  readonly authorizedParties: readonly string[]
  /** Whether the page carries a state back. */
  readonly requireState: boolean
  readonly fetch: Fetch
  readonly clock: Clock
  readonly random: Random
}

const PARAMS = ['token', 'session_id', 'user_id', 'user_email', 'user_name', 'error'] as const
const LONGEST_TEXT = 320 // an e-mail address has no more; a name has less

export class Handoff {
  readonly #options: HandoffOptions
  readonly #check: SessionTokenCheck
  readonly #broker: BrokerClient | undefined

  constructor(options: HandoffOptions) {
    const { brokerUrl, fetch, clock } = options
    this.#options = options
    this.#check = new SessionTokenCheck(options)
    this.#broker = brokerUrl === undefined ? undefined : new BrokerClient(brokerUrl, fetch, clock)
  }

  /** Asks nobody: the page's address is all there is to know. */
  authorize(redirectUri: string, loginHint?: string): AuthorizationRequest {
    const { signInUrl, requireState, random } = this.#options
    const state = requireState ? randomText(random, 32) : null
    const callback = new URL(redirectUri)
    if (state !== null) callback.searchParams.set('state', state)
    const url = new URL(signInUrl)
    url.searchParams.set('redirect_url', callback.href)
    if (loginHint !== undefined) url.searchParams.set('login_hint', loginHint)
    return { url: url.href, state, exchange: (back) => this.#exchange(back, state !== null) }
  }

  async refresh(session: Session): Promise<Renewal> {
    if (!this.#broker) throw new SessionEndedError('session_expired')
    return await this.#broker.refresh(session, session.sessionExpiresAt)
  }

  async revoke({ accessToken, refreshToken }: Session): Promise<Revocation> {
    const revoked = refreshToken !== null && this.#broker !== undefined && (await this.#broker.revoke(refreshToken))
    // A session token is a JWT: it is good until it expires, whatever becomes of its session.
    return { revoked, accessTokenValidUntil: Math.floor(accessToken.receivedAt + accessToken.lifetime) }
  }

  /**
   * A session, of which only what the token itself proves is believed; the name and the address are for showing.
   * @throws CallbackRefusedError where the token proves nothing, or is another's; UnavailableError
   */
  async adopt({ token, sessionId, user }: HandedOver): Promise<Grant> {
    const { clock } = this.#options
    const receivedAt = clock.now()
    const claims = await this.#check.verify(token)
    const isOther = claims.sessionId !== null && sessionId !== null && claims.sessionId !== sessionId
    if (isOther || (user.id !== null && user.id !== claims.userId)) throw new CallbackRefusedError('mismatched')
    const grant: Grant = {
      accessToken: { value: token, receivedAt, lifetime: claims.lifetime },
      refreshToken: null,
      user: { id: claims.userId, email: user.email, name: user.name },
      sessionId: claims.sessionId ?? sessionId,
      sessionExpiresAt: Math.floor(receivedAt + claims.lifetime), // until a broker says more
    }
    return { ...grant, ...(await this.#firstRefresh(grant)) }
  }

  async #exchange(callback: URL, hasState: boolean): Promise<Grant> {
    const params = callback.searchParams
    // Without a state nobody knows whom an error is from.
    if (hasState && params.get('error') === 'access_denied') throw new SignInError('access_denied')
    const [token, userId] = [params.get('token'), params.get('user_id')]
    if (!token || !userId || PARAMS.some((name) => params.getAll(name).length > 1)) {
      throw new CallbackRefusedError('incomplete')
    }
    const user = { id: userId, email: shown(params.get('user_email')), name: shown(params.get('user_name')) }
    try {
      return await this.adopt({ token, sessionId: params.get('session_id') || null, user })
    } catch (error) {
      // Nothing is known against the token: the person may send it again.
      throw error instanceof UnavailableError ? new CallbackRefusedError('unchecked') : error
    }
  }

  /**
   * At once, while the token lives: with it goes the only proof that the broker takes. A backend that has no broker yet,
   * or is down, does not spoil the sign-in.
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

/** A text for showing, from an address that anybody may have written: no line breaks, no endless names. */
function shown(text: string | null): string | null {
  const clean = text
    ?.replaceAll(/\p{C}+/gu, ' ')
    .trim()
    .slice(0, LONGEST_TEXT)
  return clean ? clean : null
}
