// A real OpenID provider (oidc-provider), configured as Clerk's OAuth provider is.
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider'
import type { SandboxAdapter } from './adapter.ts'
import type { SigningKey } from './keys.ts'
import { Provider } from './oidc-provider.ts'
import { CONTENT_SECURITY_POLICY, deviceCodePage, deviceConfirmationPage, messagePage } from './pages.ts'

export const PATHS = {
  authorization: '/oauth/authorize',
  token: '/oauth/token',
  revocation: '/oauth/token/revoke',
  introspection: '/oauth/token_info',
  userinfo: '/oauth/userinfo',
  device_authorization: '/oauth/device_authorization',
  code_verification: '/oauth/device',
  jwks: '/.well-known/jwks.json',
  discovery: '/.well-known/openid-configuration',
  oauthDiscovery: '/.well-known/oauth-authorization-server',
} as const

export interface User {
  readonly id: string
  readonly email: string
  readonly name: string
}

/** The organization in which the user is active. */
export interface Organization {
  readonly id: string
  readonly slug: string
}

export interface ProviderSettings {
  readonly issuer: string
  readonly clientId: string
  readonly user: User
  readonly tokenFormat: 'jwt' | 'opaque'
  readonly refreshTokens: boolean
  /** Whether there is the device authorization grant, which Clerk has for some accounts. */
  readonly deviceFlow: boolean
  readonly adapter: SandboxAdapter
  readonly cookieKey: string
  readonly onError: (error: unknown) => void
  /** These change while the sandbox runs; a new key needs a new provider. */
  signingKey: SigningKey
  /** Seconds. */
  accessTokenTtl: number
  organization: Organization | undefined
}

const ORGANIZATION_SCOPE = 'user:org:read'
export const SCOPES = ['openid', 'profile', 'email', 'offline_access', ORGANIZATION_SCOPE]
const PROFILE_CLAIMS = ['name', 'given_name', 'family_name', 'preferred_username']
const EMAIL_CLAIMS = ['email', 'email_verified']
export const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'
const HOUR = 3600
const DAY = 24 * HOUR

export function createProvider(settings: ProviderSettings) {
  const provider = new Provider(settings.issuer, configure(settings))
  provider.proxy = settings.issuer.startsWith('https:') // then a TLS server is in front, and says so in X-Forwarded-Proto
  provider.on('server_error', (_ctx, error) => settings.onError(error))
  // oidc-provider ignores offline_access unless the client also requests consent. Clerk does not require that request,
  // and the user of a native client sees the consent page anyway.
  provider.use((ctx, next) => {
    const { scope = '', prompt = '' } = ctx.query
    const asksOffline = ctx.path === PATHS.authorization && String(scope).split(' ').includes('offline_access')
    if (asksOffline && prompt !== 'none') ctx.query = { ...ctx.query, prompt: `${prompt} consent`.trim() }
    return next()
  })
  return provider
}

function configure(settings: ProviderSettings): Configuration {
  const { issuer, clientId, tokenFormat, adapter, signingKey, cookieKey, refreshTokens, deviceFlow } = settings
  return {
    adapter,
    clients: [
      {
        client_id: clientId,
        application_type: 'native', // allows any port of 127.0.0.1, as RFC 8252 section 7.3 requires
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token', ...(deviceFlow ? [DEVICE_CODE_GRANT] : [])],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback'],
      },
    ],
    jwks: { keys: [signingKey.jwk] },
    pkce: { required: () => true },
    scopes: SCOPES,
    responseTypes: ['code'],
    clientAuthMethods: ['client_secret_basic', 'none'],
    claims: {
      openid: ['sub'],
      profile: PROFILE_CLAIMS,
      email: EMAIL_CLAIMS,
      [ORGANIZATION_SCOPE]: ['org_id', 'org_slug'],
    },
    conformIdTokenClaims: false, // Clerk's ID token contains the profile
    discovery: { backchannel_logout_supported: false, frontchannel_logout_supported: false },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...profileOf(settings) }) }),
    issueRefreshToken: (_ctx, _client, code) => refreshTokens && code.scopes.has('offline_access'),
    rotateRefreshToken: true,
    routes: PATHS,
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    cookies: { keys: [cookieKey] },
    clientBasedCORS: () => false,
    renderError(ctx, { error, error_description }) {
      show(ctx, messagePage('This request is invalid', `${error}: ${error_description ?? ''}`))
    },
    clockTolerance: 0, // otherwise a token is accepted for 15 s after its expiry
    ttl: {
      AccessToken: () => settings.accessTokenTtl,
      AuthorizationCode: 600,
      DeviceCode: 600,
      IdToken: DAY,
      RefreshToken: 3650 * DAY,
      Grant: 3650 * DAY,
      Session: DAY,
      Interaction: HOUR,
    },
    formats: {
      customizers: {
        jwt(_ctx, _token, { payload }) {
          payload.nbf = payload.iat
          payload.jti = `oat_${payload.jti}`
          if (hasScope(payload.scope, ORGANIZATION_SCOPE)) payload.org_id = settings.organization?.id
        },
      },
    },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: {
        enabled: deviceFlow,
        charset: 'base-20',
        mask: '****-****',
        userCodeInputSource(ctx, form, _out, error) {
          if (error?.name === 'AbortedError') return show(ctx, messagePage('Declined', 'The device is not connected.'))
          show(ctx, deviceCodePage(form, error?.message))
        },
        userCodeConfirmSource: (ctx, form, _client, _device, userCode) =>
          show(ctx, deviceConfirmationPage(form, userCode)),
        successSource: (ctx) => show(ctx, messagePage('Connected', 'Go back to your device.')),
      },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      dPoP: { enabled: false },
      // Clerk introspects tokens only for clients with a secret.
      introspection: { enabled: true, allowedPolicy: () => false },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      resourceIndicators: {
        enabled: tokenFormat === 'jwt', // only a token for a resource can be a JWT
        defaultResource: () => resourceOf(issuer),
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: SCOPES.join(' '),
          accessTokenFormat: 'jwt',
          accessTokenTTL: settings.accessTokenTtl,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  }
}

function show(ctx: KoaContextWithOIDC, page: string): void {
  ctx.type = 'html'
  ctx.set('content-security-policy', CONTENT_SECURITY_POLICY)
  ctx.body = page
}

/** The resource of a JWT access token. */
export function resourceOf(issuer: string): string {
  return `${issuer}/api`
}

export function profileOf(
  { user, organization }: Pick<ProviderSettings, 'user' | 'organization'>,
  scopes: readonly string[] = SCOPES,
): Record<string, unknown> {
  const { name, email } = user
  const [given, family] = name.split(' ')
  const profile = { name, given_name: given, family_name: family, preferred_username: given?.toLowerCase() }
  return {
    ...(scopes.includes('profile') ? profile : {}),
    ...(scopes.includes('email') ? { email, email_verified: true } : {}),
    ...(organization && scopes.includes(ORGANIZATION_SCOPE)
      ? { org_id: organization.id, org_slug: organization.slug }
      : {}),
  }
}

function hasScope(scope: unknown, wanted: string): boolean {
  return String(scope).split(' ').includes(wanted)
}
