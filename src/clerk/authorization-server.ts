// Clerk as an OAuth 2.0 and OpenID provider: authorization code with PKCE, rotating refresh tokens, revocation.
import * as client from 'openid-client'
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import { type Random, randomText } from '../host/random.ts'
import type { Session, User } from '../store/session.ts'
import { RejectedError, rejectedReason, SessionEndedError, SignInError, UnavailableError } from './errors.ts'
import type { AuthorizationRequest, Grant, Renewal, Revocation } from './identity-provider.ts'
import { payload } from './jwt.ts'
import { Metadata } from './metadata.ts'
import { AnswerWatch } from './response-watch.ts'

export interface AuthorizationServerOptions {
  readonly issuer: string
  readonly clientId: string
  readonly scopes: readonly string[]
  /** A page that makes sure that the browser is signed in, and then goes on to its `redirect_url`. */
  readonly signInUrl: string | undefined
  readonly fetch: Fetch
  readonly clock: Clock
  readonly random: Random
}

const ID_TOKEN_LEEWAY = 300 // s; a designer's clock may be minutes off, and the token was fetched a moment ago
const UNKNOWN_LIFETIME = 300 // s; for an opaque token whose `expires_in` is missing: short, so that it is soon renewed

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
      url: signInUrl === undefined ? url.href : through(signInUrl, url),
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
        // Clerk rotates; a provider that does not sends none, and the old one stays good (RFC 6749 section 6).
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
      // With the refresh token goes the grant, and opaque access tokens with it. A JWT lives on until it expires.
      const livesOn = isJwt(session.accessToken.value)
      return { revoked: session.refreshToken !== null, accessTokenValidUntil: livesOn ? accessTokenValidUntil : null }
    } catch {
      return { revoked: false, accessTokenValidUntil }
    }
  }

  /** A grant that nobody holds any more must not live on at the provider. */
  async retire(session: Session): Promise<void> {
    await this.revoke(session)
  }

  async #exchange(callback: URL, secrets: { state: string; nonce: string; codeVerifier: string }): Promise<Grant> {
    const { configuration, watch } = await this.#configure(withKnownLifetime)
    client.enableNonRepudiationChecks(configuration) // the ID token's signature as well, not only its claims
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
        sessionId: text(claims.sid),
        sessionExpiresAt: null,
      }
    } catch (error) {
      throw signInFailure(error, watch)
    }
  }

  /** Name and e-mail are a courtesy: where userinfo fails, the ID token's claims must do. */
  async #user(accessToken: string, claims: client.IDToken): Promise<User> {
    const { configuration } = await this.#configure()
    const info: client.UserInfoResponse | client.IDToken = await client
      .fetchUserInfo(configuration, accessToken, claims.sub)
      .catch(() => claims)
    return {
      id: claims.sub,
      email: text(info.email) ?? text(claims.email),
      name: text(info.name) ?? text(claims.name),
    }
  }

  #accessToken(tokens: client.TokenEndpointResponse): Session['accessToken'] {
    // RFC 6750 section 2.1; a line break in it would be a header of the provider's choice.
    if (tokens.token_type !== 'bearer' || !/^[A-Za-z0-9._~+/-]+=*$/.test(tokens.access_token)) {
      throw new UnavailableError('server')
    }
    const lifetime = tokens.expires_in ?? jwtLifetime(tokens.access_token) ?? UNKNOWN_LIFETIME
    return { value: tokens.access_token, receivedAt: this.#options.clock.now(), lifetime }
  }

  /** A configuration of its own for each operation, so that each can watch what it was answered. */
  async #configure(change: (fetch: Fetch) => Fetch = (fetch) => fetch) {
    const { issuer, clientId, fetch, clock } = this.#options
    const metadata = await this.#metadata.get()
    const watch = new AnswerWatch(fetch, clock)
    const configuration = new client.Configuration(
      metadata,
      clientId,
      { [client.clockTolerance]: ID_TOKEN_LEEWAY },
      client.None(),
    )
    configuration[client.customFetch] = change(watch.fetch)
    if (issuer.startsWith('http:')) client.allowInsecureRequests(configuration)
    return { configuration, watch }
  }
}

function through(signInUrl: string, url: URL): string {
  const first = new URL(signInUrl)
  first.searchParams.set('redirect_url', url.href)
  return first.href
}

/**
 * Keeps of a refresh answer what a refresh needs. A new ID token or a scope in it is of no use to us, and must not be able to
 * spoil an answer whose refresh token is already the only good one.
 */
function withoutIdToken(fetch: Fetch): Fetch {
  return changed(withKnownLifetime(fetch), ({ id_token: _, scope: __, ...rest }) => rest)
}

/** A lifetime that is no number counts as none: it is known from elsewhere, or short, and spoils nothing. */
function withKnownLifetime(fetch: Fetch): Fetch {
  return changed(fetch, (body) => {
    const { expires_in, ...rest } = body
    if (expires_in === undefined) return body
    const lifetime = typeof expires_in === 'string' ? Number.parseFloat(expires_in) : expires_in
    const known = typeof lifetime === 'number' && Number.isFinite(lifetime) && lifetime >= 0
    return known ? { ...rest, expires_in: lifetime } : rest
  })
}

/** Changes the JSON object of an answer of success, where it is one. */
function changed(fetch: Fetch, change: (body: Record<string, unknown>) => Record<string, unknown>): Fetch {
  return async (url, init) => {
    const response = await fetch(url, init)
    if (!response.ok) return response
    const body: unknown = await response
      .clone()
      .json()
      .catch(() => undefined)
    if (typeof body !== 'object' || body === null || Array.isArray(body)) return response
    return Response.json(change(body as Record<string, unknown>), { status: response.status })
  }
}

function signInFailure(error: unknown, watch: AnswerWatch): Error {
  if (error instanceof RejectedError || error instanceof SignInError || error instanceof UnavailableError) return error
  if (error instanceof client.AuthorizationResponseError) {
    if (error.error === 'access_denied') return new SignInError('access_denied')
    if (error.error === 'server_error' || error.error === 'temporarily_unavailable')
      return new UnavailableError('server')
    return new RejectedError(rejectedReason(error.error))
  }
  if (!watch.asked) return new SignInError('invalid_response') // the callback itself is not to be believed
  const failure = watch.failure()
  // Here `invalid_grant` is about the code, not about a session; an answer that came whole but proves nothing is no outage.
  if (failure instanceof SessionEndedError || watch.answered) return new SignInError('invalid_response')
  return failure
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function isJwt(token: string): boolean {
  return payload(token) !== undefined
}

function jwtLifetime(token: string): number | undefined {
  const { exp, iat } = payload(token) ?? {}
  return typeof exp === 'number' && typeof iat === 'number' && exp >= iat ? exp - iat : undefined
}
