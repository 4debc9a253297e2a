// What the daemon asks of the place where people sign in, whichever way that works.
import type { Session, User } from '../store/session.ts'

/** What a provider hands over: everything of a session but what our store adds. */
export type Grant = Omit<Session, 'generation' | 'refreshing'>
/** What a refresh renews. */
export type Renewal = Partial<Grant> & Pick<Grant, 'accessToken' | 'refreshToken'>

export interface Revocation {
  /** Whether the provider has confirmed that nothing of the session can be renewed any more. */
  readonly revoked: boolean
  /** Unix seconds until which an access token that cannot be revoked is still good; null where none is. */
  readonly accessTokenValidUntil: number | null
}

/** One sign-in under way. It holds secrets of its own, which are worth nothing after it. */
export interface AuthorizationRequest {
  /** Where the browser goes. */
  readonly url: string
  /** What the callback must bring back; null where the page cannot carry a state. */
  readonly state: string | null
  /**
   * Turns the callback, its state already checked, into a session.
   * @throws CallbackRefusedError where the sign-in is to go on waiting; SignInError, RejectedError, UnavailableError
   */
  exchange(callback: URL): Promise<Grant>
}

/** A session token and what came along with it, from wherever. None of it is believed before it is checked. */
export interface HandedOver {
  readonly token: string
  readonly sessionId: string | null
  readonly user: { readonly id: string | null; readonly email: string | null; readonly name: string | null }
}

export interface IdentityProvider {
  /**
   * Starts a sign-in that comes back to `redirectUri`.
   * @param loginHint the e-mail address of who is likely to sign in (OpenID Connect Core 1.0 section 3.1.2.1)
   * @throws RejectedError, UnavailableError
   */
  authorize(redirectUri: string, loginHint?: string): Promise<AuthorizationRequest>
  /** Whether a refresh could give this session a new token. Where not, it ends with its token. */
  canRefresh(session: Session): boolean
  /** Asks for a new access token. @throws SessionEndedError, RejectedError, UnavailableError */
  refresh(session: Session): Promise<Renewal>
  /** Ends the session at the provider, as well as can be. Never throws. */
  revoke(session: Session): Promise<Revocation>
  /** Lets go of a session that another has replaced, or that nobody took. Never throws. */
  retire(session: Session): Promise<void>
  /**
   * Takes over a session that another program of ours has kept, if the provider has such sessions.
   * @throws CallbackRefusedError, UnavailableError
   */
  adopt?(handed: HandedOver): Promise<Grant>
}

export type { User }
