// The interface of an identity provider, for both sign-in methods.
import type { Session } from '../store/session.ts'

/** A new session from the provider: everything but the fields that the store adds. */
export type Grant = Omit<Session, 'generation' | 'refreshing'>
/** The fields of a session that a refresh replaces. */
export type Renewal = Partial<Grant> & Pick<Grant, 'accessToken' | 'refreshToken'>

/** What a session says about its user beside the tokens. */
export type UserDescription = Pick<Grant, 'user' | 'organization'>

export interface Revocation {
  /** Whether the provider has confirmed that the session can no longer be refreshed. */
  readonly revoked: boolean
  /** Unix seconds until which an access token that cannot be revoked stays valid; null if there is none. */
  readonly accessTokenValidUntil: number | null
}

/** Optional parameters of an authorization request (OpenID Connect Core 1.0 section 3.1.2.1). */
export interface AuthorizationOptions {
  /** The e-mail address of the user who is likely to sign in. */
  readonly loginHint?: string
  /** Asks the provider to authenticate the user again, even if the browser is signed in. */
  readonly prompt?: 'login' | undefined
}

/** A sign-in that has started. It holds secrets that are worthless after it. */
export interface AuthorizationRequest {
  /** The URL that the browser opens. */
  readonly url: string
  /** The state that the callback must carry; null if the page cannot return one. */
  readonly state: string | null
  /** Whether a callback without a state and without a code is accepted all the same: the page may be of version 1. */
  readonly mayLackState?: boolean
  /**
   * Exchanges the callback, whose state has been checked, for a session.
   * @throws CallbackRefusedError if the sign-in should keep waiting; SignInError, RejectedError, UnavailableError
   */
  exchange(callback: URL): Promise<Grant>
}

/** A sign-in on another device has started (RFC 8628). The user enters the code there; the daemon polls meanwhile. */
export interface DeviceAuthorization {
  readonly userCode: string
  /** The page at which the user enters the code. */
  readonly verificationUri: string
  /** The same page with the code in it, for a QR code; null if the provider has none. */
  readonly verificationUriComplete: string | null
  /** Seconds from now on until the code expires. */
  readonly lifetime: number
  /** Seconds to wait before each poll. */
  readonly interval: number
  /**
   * Asks once whether the user has agreed.
   * @returns the grant, or why there is none yet
   * @throws SignInError, RejectedError if the sign-in has ended; UnavailableError if the next poll may succeed
   */
  poll(): Promise<Grant | 'authorization_pending' | 'slow_down'>
}

/** A session token with the details that came with it, from an untrusted source. Nothing in it has been verified. */
export interface HandedOver {
  readonly token: string
  readonly sessionId: string | null
  readonly user: { readonly id: string | null; readonly email: string | null; readonly name: string | null }
}

export interface IdentityProvider {
  /** Starts a sign-in that redirects to `redirectUri`. @throws RejectedError, UnavailableError */
  authorize(redirectUri: string, options?: AuthorizationOptions): Promise<AuthorizationRequest>
  /** Whether `authorizeDevice` is possible. Absent: it is not. @throws RejectedError, UnavailableError */
  canAuthorizeDevice?(): Promise<boolean>
  /**
   * Starts a sign-in on another device, if the provider can do that.
   * @throws RejectedError, UnavailableError
   */
  authorizeDevice?(): Promise<DeviceAuthorization>
  /** Whether a refresh can give this session a new token. If not, the session ends with its token. */
  canRefresh(session: Session): boolean
  /** Requests a new access token. @throws SessionEndedError, RejectedError, UnavailableError */
  refresh(session: Session): Promise<Renewal>
  /**
   * The user's name, e-mail address and organization as the provider has them now, if it can be asked.
   * @throws an error if it does not answer, or names another user; the session is as good as before
   */
  describeUser?(session: Session): Promise<UserDescription>
  /** Ends the session at the provider, on a best-effort basis. Never throws. */
  revoke(session: Session): Promise<Revocation>
  /** Releases a session that another one has replaced, or that was never saved. Never throws. */
  retire(session: Session): Promise<void>
  /**
   * Takes over a session that another program of CADZERO has kept, if the provider has such sessions.
   * @throws CallbackRefusedError, UnavailableError
   */
  adopt?(handed: HandedOver): Promise<Grant>
}
