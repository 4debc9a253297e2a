// Clerk as an OAuth 2.0 and OpenID provider: authorization code with PKCE, rotating refresh tokens, revocation.
import * as client from 'openid-client'
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import { type Random, randomText } from '../host/random.ts'
import type { Session, User } from '../store/session.ts'
import { RejectedError, rejectedReason, SessionEndedError, SignInError, UnavailableError } from './errors.ts'
import type { AuthorizationRequest, Grant, Renewal, Revocation } from './identity-provider.ts'
import { unverifiedClaims } from './jwt.ts'
import { Metadata } from './metadata.ts'
import { ResponseWatch } from './response-watch.ts'
import { withoutIdToken, withValidLifetime } from './token-response.ts'

export interface AuthorizationServerOptions {
  readonly issuer: string
  readonly clientId: string
  readonly scopes: readonly string[]
  /** A page that signs the browser in first, and then continues to its `redirect_url`. */
  readonly signInUrl: string | undefined
  readonly fetch: Fetch
  readonly clock: Clock
  readonly random: Random
}

const ID_TOKEN_LEEWAY = 300 // s; a user's clock may be minutes off, and the token was fetched a moment ago
const UNKNOWN_LIFETIME = 300 // s; for an opaque token without `expires_in`: short, so that it is soon refreshed

interface RequestSecrets {
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
}

export class AuthorizationServer {
  readonly #options: AuthorizationServerOptions
  readonly #metadata: Metadata

  constructor(options: AuthorizationServerOptions) {
    this.#options = options
    this.#metadata = new Metadata(options.issuer, options.clientId, options.fetch, options.clock)
  }

  async authorize(redirectUri: string, loginHint?: string): Promise<AuthorizationRequest> {
    const { random, scopes, signInUrl } = this.#options
    const { configuration } = await this.#configure()
    const [state, nonce, codeVerifier] = [randomText(random, 32), randomText(random, 32), randomText(random, 32)]
    const url = client.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: scopes.join(' '),
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
      ...(loginHint === undefined ? {} : { login_hint: loginHint }),
    })
    return {
      url: signInUrl === undefined ? url.href : viaSignInPage(signInUrl, url),
      state,
      exchange: (callback) => this.#exchange(callback, { state, nonce, codeVerifier }),
    }
  }

  async refresh(session: Session): Promise<Renewal> {
    if (session.refreshToken === null) throw new SessionEndedError('session_expired')
    const { configuration, watch } = await this.#configure(withoutIdToken)
    try {
      const tokens = await client.refreshTokenGrant(configuration, session.refreshToken)
      return {
        accessToken: this.#accessToken(tokens),
        // Clerk rotates; a provider that does not rotate sends none, and the old one stays valid (RFC 6749 section 6).
        refreshToken: tokens.refresh_token ?? session.refreshToken,
      }
    } catch {
      throw watch.failure()
    }
  }

  async revoke(session: Session): Promise<Revocation> {
    const accessTokenValidUntil = Math.floor(session.accessToken.receivedAt + session.accessToken.lifetime)
    try {
      if (session.refreshToken !== null) {
        const { configuration } = await this.#configure()
        await client.tokenRevocation(configuration, session.refreshToken, { token_type_hint: 'refresh_token' })
      }
      // Revoking the refresh token revokes the grant and opaque access tokens. A JWT stays valid until it expires.
      const staysValid = isJwt(session.accessToken.value)
      return {
        revoked: session.refreshToken !== null,
        accessTokenValidUntil: staysValid ? accessTokenValidUntil : null,
      }
    } catch {
      return { revoked: false, accessTokenValidUntil }
    }
  }

  /** Revokes the session, since a grant that no client holds must not stay valid at the provider. */
  async retire(session: Session): Promise<void> {
    await this.revoke(session)
  }

  async #exchange(callback: URL, secrets: RequestSecrets): Promise<Grant> {
    const { configuration, watch } = await this.#configure(withValidLifetime)
    client.enableNonRepudiationChecks(configuration) // verifies the ID token's signature as well, not only its claims
    try {
      const tokens = await client.authorizationCodeGrant(configuration, callback, {
        expectedState: secrets.state,
        expectedNonce: secrets.nonce,
        pkceCodeVerifier: secrets.codeVerifier,
        idTokenExpected: true,
      })
      if (tokens.refresh_token === undefined) throw new RejectedError('no_refresh_token')
      const claims = tokens.claims()
      if (!claims) throw new SignInError('invalid_response')
      return {
        accessToken: this.#accessToken(tokens),
        refreshToken: tokens.refresh_token,
        user: await this.#user(tokens.access_token, claims),
        sessionId: textOrNull(claims.sid),
        sessionExpiresAt: null,
      }
    } catch (error) {
      throw signInFailure(error, watch)
    }
  }

  /** Name and e-mail address are for display: if userinfo fails, the ID token's claims are used. */
  async #user(accessToken: string, claims: client.IDToken): Promise<User> {
    const { configuration } = await this.#configure()
    const info: client.UserInfoResponse | client.IDToken = await client
      .fetchUserInfo(configuration, accessToken, claims.sub)
      .catch(() => claims)
    return {
      id: claims.sub,
      email: textOrNull(info.email) ?? textOrNull(claims.email),
      name: textOrNull(info.name) ?? textOrNull(claims.name),
    }
  }

  #accessToken(tokens: client.TokenEndpointResponse): Session['accessToken'] {
    // RFC 6750 section 2.1; with a line break in the token, the provider could inject a header.
    if (tokens.token_type !== 'bearer' || !/^[A-Za-z0-9._~+/-]+=*$/.test(tokens.access_token)) {
      throw new UnavailableError('server')
    }
    const lifetime = tokens.expires_in ?? jwtLifetime(tokens.access_token) ?? UNKNOWN_LIFETIME
    return { value: tokens.access_token, receivedAt: this.#options.clock.now(), lifetime }
  }

  /** A new configuration for each operation, so that each can observe its own responses. */
  async #configure(wrap: (fetch: Fetch) => Fetch = (fetch) => fetch) {
    const { issuer, clientId, fetch, clock } = this.#options
    const metadata = await this.#metadata.get()
    const watch = new ResponseWatch(fetch, clock)
    const configuration = new client.Configuration(
      metadata,
      clientId,
      { [client.clockTolerance]: ID_TOKEN_LEEWAY },
      client.None(),
    )
    configuration[client.customFetch] = wrap(watch.fetch)
    if (issuer.startsWith('http:')) client.allowInsecureRequests(configuration)
    return { configuration, watch }
  }
}

function viaSignInPage(signInUrl: string, authorizationUrl: URL): string {
  const url = new URL(signInUrl)
  url.searchParams.set('redirect_url', authorizationUrl.href)
  return url.href
}

function signInFailure(error: unknown, watch: ResponseWatch): Error {
  if (error instanceof RejectedError || error instanceof SignInError || error instanceof UnavailableError) return error
  if (error instanceof client.AuthorizationResponseError) {
    if (error.error === 'access_denied') return new SignInError('access_denied')
    if (error.error === 'server_error' || error.error === 'temporarily_unavailable')
      return new UnavailableError('server')
    return new RejectedError(rejectedReason(error.error))
  }
  if (!watch.hasSentRequest) return new SignInError('invalid_response') // the callback itself is not valid
  const failure = watch.failure()
  // Here `invalid_grant` concerns the code, not a session; a complete response that proves nothing is not an outage.
  if (failure instanceof SessionEndedError || watch.hasSucceeded) return new SignInError('invalid_response')
  return failure
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function isJwt(token: string): boolean {
  return unverifiedClaims(token) !== undefined
}

/** The lifetime in seconds that a JWT states; undefined if the token is opaque or states none. */
function jwtLifetime(token: string): number | undefined {
  const { exp, iat } = unverifiedClaims(token) ?? {}
  return typeof exp === 'number' && typeof iat === 'number' && exp >= iat ? exp - iat : undefined
}
