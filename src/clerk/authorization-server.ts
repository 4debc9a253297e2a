// Clerk as an OAuth 2.0 and OpenID provider: authorization code with PKCE, rotating refresh tokens, revocation.
import * as client from 'openid-client'
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import { type Random, randomText } from '../host/random.ts'
import type { Session, User } from '../store/session.ts'
import { DEVICE_CODE_GRANT, parseDeviceResponse } from './device-authorization.ts'
import { displayText } from './display-text.ts'
import { RejectedError, SessionEndedError, SignInError, UnavailableError } from './errors.ts'
import type {
  AuthorizationOptions,
  AuthorizationRequest,
  DeviceAuthorization,
  Grant,
  Renewal,
  Revocation,
  UserDescription,
} from './identity-provider.ts'
import { unverifiedClaims } from './jwt.ts'
import { Metadata } from './metadata.ts'
import { organizationOf, withTokenOrganization } from './organization.ts'
import { ResponseWatch } from './response-watch.ts'
import { LARGEST_SKEW } from './server-time.ts'
import { foretoldEnd } from './session-end.ts'
import { signInFailure } from './sign-in-failure.ts'
import { SigningKeys } from './signing-keys.ts'
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

const UNKNOWN_LIFETIME = 300 // s; for an opaque token without `expires_in`: short, so that it is soon refreshed

interface RequestSecrets {
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
}

export class AuthorizationServer {
  readonly #options: AuthorizationServerOptions
  readonly #metadata: Metadata
  readonly #keys: SigningKeys

  constructor(options: AuthorizationServerOptions) {
    this.#options = options
    this.#metadata = new Metadata(options.issuer, options.clientId, options.fetch, options.clock)
    this.#keys = new SigningKeys(options.fetch, options.clock)
  }

  async authorize(
    redirectUri: string,
    { loginHint, prompt }: AuthorizationOptions = {},
  ): Promise<AuthorizationRequest> {
    const { random, scopes, signInUrl } = this.#options
    const { configuration } = await this.#configure()
    void this.#keys.prefetch(configuration.serverMetadata())
    const [state, nonce, codeVerifier] = [randomText(random, 32), randomText(random, 32), randomText(random, 32)]
    const url = client.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: scopes.join(' '),
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
      ...(loginHint === undefined ? {} : { login_hint: loginHint }),
      ...(prompt === undefined ? {} : { prompt }),
    })
    return {
      url: signInUrl === undefined ? url.href : viaSignInPage(signInUrl, url),
      state,
      exchange: (callback) => this.#exchange(callback, { state, nonce, codeVerifier }),
    }
  }

  async canAuthorizeDevice(): Promise<boolean> {
    return (await this.#metadata.get()).device_authorization_endpoint !== undefined
  }

  /** @throws RejectedError, UnavailableError */
  async authorizeDevice(): Promise<DeviceAuthorization> {
    const { issuer, random, scopes } = this.#options
    const { configuration, watch } = await this.#configure()
    if (configuration.serverMetadata().device_authorization_endpoint === undefined) {
      throw new RejectedError('device_authorization_unsupported')
    }
    const nonce = randomText(random, 32)
    const response = await client
      .initiateDeviceAuthorization(configuration, { scope: scopes.join(' '), nonce })
      .catch(() => {
        const failure = watch.failure()
        throw failure instanceof SessionEndedError ? new RejectedError('rejected') : failure
      })
    void this.#keys.prefetch(configuration.serverMetadata())
    return { ...parseDeviceResponse(response, issuer), poll: () => this.#pollDevice(response.device_code, nonce) }
  }

  async refresh(session: Session): Promise<Renewal> {
    if (session.refreshToken === null) throw new SessionEndedError('session_expired')
    let idToken: unknown
    const { configuration, watch } = await this.#configure((fetch) =>
      withoutIdToken(fetch, (one) => {
        idToken = one
      }),
    )
    try {
      const tokens = await client.refreshTokenGrant(configuration, session.refreshToken)
      const accessToken = this.#accessToken(tokens)
      return {
        accessToken,
        // Clerk rotates; a provider that does not rotate sends none, and the old one stays valid (RFC 6749 section 6).
        refreshToken: tokens.refresh_token ?? session.refreshToken,
        sessionExpiresAt: foretoldEnd(tokens, accessToken.receivedAt) ?? this.#unlessPast(session.sessionExpiresAt),
        user: this.#userNow(session.user, idToken),
        organization: withTokenOrganization(session.organization ?? null, accessToken.value),
      }
    } catch {
      throw watch.failure()
    }
  }

  async describeUser({ user, accessToken }: Session): Promise<UserDescription> {
    const info = await this.#userInfo(accessToken.value, user.id)
    return {
      user: withClaims(user, info),
      organization: withTokenOrganization(organizationOf(info), accessToken.value),
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
    const { configuration, watch } = await this.#configureGrant()
    try {
      const tokens = await client.authorizationCodeGrant(configuration, callback, {
        expectedState: secrets.state,
        expectedNonce: secrets.nonce,
        pkceCodeVerifier: secrets.codeVerifier,
        idTokenExpected: true,
      })
      return await this.#grant(tokens)
    } catch (error) {
      throw signInFailure(error, watch)
    }
  }

  async #pollDevice(deviceCode: string, nonce: string): Promise<Grant | 'authorization_pending' | 'slow_down'> {
    const { configuration, watch } = await this.#configureGrant()
    let tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers
    try {
      tokens = await client.genericGrantRequest(configuration, DEVICE_CODE_GRANT, { device_code: deviceCode })
    } catch (error) {
      const { error: code } = watch // RFC 8628 section 3.5
      if (code === 'authorization_pending' || code === 'slow_down') return code
      if (code === 'expired_token') throw new SignInError('timeout')
      if (code === 'access_denied') throw new SignInError('access_denied')
      throw signInFailure(error, watch)
    }
    const said = tokens.claims()?.nonce
    // RFC 8628 has no nonce, so that a provider need not return it. The device code, which is secret, binds the response.
    if (said !== undefined && said !== nonce) throw new SignInError('invalid_response')
    return await this.#grant(tokens)
  }

  /** @throws RejectedError, SignInError, UnavailableError */
  async #grant(tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers): Promise<Grant> {
    if (tokens.refresh_token === undefined) throw new RejectedError('no_refresh_token')
    const claims = tokens.claims()
    if (!claims) throw new SignInError('invalid_response')
    const accessToken = this.#accessToken(tokens)
    return {
      accessToken,
      refreshToken: tokens.refresh_token,
      sessionId: textOrNull(claims.sid),
      sessionExpiresAt: foretoldEnd(tokens, accessToken.receivedAt),
      ...(await this.#describe(tokens.access_token, claims)),
    }
  }

  /** Name, e-mail address and organization are for display: if userinfo fails, the ID token's claims are used. */
  async #describe(accessToken: string, claims: client.IDToken): Promise<UserDescription> {
    const info = await this.#userInfo(accessToken, claims.sub).catch((): Record<string, unknown> => ({}))
    return {
      user: {
        id: claims.sub,
        email: displayText(info.email) ?? displayText(claims.email),
        name: displayText(info.name) ?? displayText(claims.name),
      },
      organization: withTokenOrganization(organizationOf(info), accessToken),
    }
  }

  /** @throws if the provider does not answer, or answers for another user than `userId` */
  async #userInfo(accessToken: string, userId: string): Promise<client.UserInfoResponse> {
    const { configuration } = await this.#configure()
    return await client.fetchUserInfo(configuration, accessToken, userId)
  }

  /**
   * The user as the ID token of a refresh describes them; as before if there is none, or if it is not for this user. Its
   * signature is not checked: it comes from the token endpoint itself, and decides nothing (OpenID Connect Core 1.0 section
   * 3.1.3.7, number 6).
   */
  #userNow(known: User, idToken: unknown): User {
    const claims = typeof idToken === 'string' ? unverifiedClaims(idToken) : undefined
    const { issuer, clientId } = this.#options
    const isForUs = claims?.iss === issuer && [claims.aud].flat().includes(clientId) && claims.sub === known.id
    return isForUs ? withClaims(known, claims) : known
  }

  #unlessPast(time: number | null): number | null {
    return time !== null && time > this.#options.clock.now() ? time : null
  }

  #accessToken(tokens: client.TokenEndpointResponse): Session['accessToken'] {
    // RFC 6750 section 2.1; with a line break in the token, the provider could inject a header.
    if (tokens.token_type !== 'bearer' || !/^[A-Za-z0-9._~+/-]+=*$/.test(tokens.access_token)) {
      throw new UnavailableError('server')
    }
    const lifetime = tokens.expires_in ?? jwtLifetime(tokens.access_token) ?? UNKNOWN_LIFETIME
    return { value: tokens.access_token, receivedAt: this.#options.clock.now(), lifetime }
  }

  async #configureGrant() {
    const configured = await this.#configure(withValidLifetime)
    client.enableNonRepudiationChecks(configured.configuration) // verifies the ID token's signature as well, not only its claims
    this.#keys.giveTo(configured.configuration)
    return configured
  }

  /** A new configuration for each operation, so that each can observe its own responses. */
  async #configure(wrap: (fetch: Fetch) => Fetch = (fetch) => fetch) {
    const { issuer, clientId, fetch, clock } = this.#options
    const metadata = await this.#metadata.get()
    const watch = new ResponseWatch(fetch, clock)
    const configuration = new client.Configuration(
      metadata,
      clientId,
      { [client.clockTolerance]: LARGEST_SKEW },
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

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

/** The user with the name and the e-mail address in the claims. A claim that is absent says nothing. */
function withClaims(known: User, { email, name }: Readonly<Record<string, unknown>>): User {
  return {
    id: known.id,
    email: email === null ? null : (displayText(email) ?? known.email),
    name: name === null ? null : (displayText(name) ?? known.name),
  }
}

function isJwt(token: string): boolean {
  return unverifiedClaims(token) !== undefined
}

/** The lifetime in seconds that a JWT states; undefined if the token is opaque or states none. */
function jwtLifetime(token: string): number | undefined {
  const { exp, iat } = unverifiedClaims(token) ?? {}
  return typeof exp === 'number' && typeof iat === 'number' && exp >= iat ? exp - iat : undefined
}
