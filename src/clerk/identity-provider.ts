// What the daemon asks of the place where people sign in, whichever way that works.
import type { Session, User } from '../store/session.ts'

/** What a provider hands over: everything of a session but what our store adds. */
export type Grant = Omit<Session, 'generation'>
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
  /** What the callback must bring back. */
  readonly state: string
  /**
   * Turns the callback, its state already checked, into a session.
   * @throws SignInError, RejectedError, UnavailableError
   */
  exchange(callback: URL): Promise<Grant>
}

export interface IdentityProvider {
  /** Starts a sign-in that comes back to `redirectUri`. @throws RejectedError, UnavailableError */
  authorize(redirectUri: string): Promise<AuthorizationRequest>
  /** Asks for a new access token. @throws SessionEndedError, RejectedError, UnavailableError */
  refresh(session: Session): Promise<Renewal>
  /** Ends the session at the provider, as well as can be. Never throws. */
  revoke(session: Session): Promise<Revocation>
}

export type { User }
