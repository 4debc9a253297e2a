// A real OpenID provider (oidc-provider) set up as Clerk's OAuth provider is.
import './quiet.ts'
import { generateKeyPairSync, type JsonWebKey, randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import Provider, { type Configuration } from 'oidc-provider'
import type { SandboxAdapter } from './adapter.ts'

export const PATHS = {
  authorization: '/oauth/authorize',
  token: '/oauth/token',
  revocation: '/oauth/token/revoke',
  userinfo: '/oauth/userinfo',
  jwks: '/.well-known/jwks.json',
  discovery: '/.well-known/openid-configuration',
} as const

export interface User {
  readonly id: string
  readonly email: string
  readonly name: string
}

export interface ProviderSettings {
  readonly issuer: string
  readonly clientId: string
  readonly user: User
  readonly tokenFormat: 'jwt' | 'opaque'
  readonly refreshTokens: boolean
  readonly adapter: SandboxAdapter
  /** Seconds; may change while the provider runs. */
  accessTokenTtl: number
}

const SCOPES = ['openid', 'profile', 'email', 'offline_access']
const DAY = 86_400

export function createProvider(settings: ProviderSettings): Provider {
  const { issuer, clientId, user, tokenFormat, adapter } = settings
  const configuration: Configuration = {
    adapter,
    clients: [
      {
        client_id: clientId,
        application_type: 'native', // any port of 127.0.0.1, as RFC 8252 section 7.3 asks
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback'],
      },
    ],
    jwks: { keys: [signingKey()] },
    pkce: { required: () => true },
    scopes: SCOPES,
    claims: {
      openid: ['sub'],
      profile: ['name', 'given_name', 'family_name', 'preferred_username', 'picture'],
      email: ['email', 'email_verified'],
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...profileOf(user) }) }),
    // Not by the scope: oidc-provider drops offline_access where the request has no prompt=consent, which Clerk does not ask for.
    issueRefreshToken: () => settings.refreshTokens,
    rotateRefreshToken: true,
    routes: PATHS,
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    ttl: { AccessToken: () => settings.accessTokenTtl, IdToken: DAY, RefreshToken: 3650 * DAY, AuthorizationCode: 600 },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: tokenFormat === 'jwt', // only a token for a resource can be a JWT
        defaultResource: () => `${issuer}/api`,
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
  return new Provider(issuer, configuration)
}

export function profileOf({ name, email }: User) {
  const [given, family] = name.split(' ')
  return { name, given_name: given, family_name: family, preferred_username: given, email, email_verified: true }
}

/** Signs the user in, or takes the consent, whichever the interaction asks for; `deny` refuses it. */
export async function finishInteraction(
  provider: Provider,
  settings: ProviderSettings,
  request: IncomingMessage,
  response: ServerResponse,
  deny: boolean,
): Promise<void> {
  const { prompt, grantId } = await provider.interactionDetails(request, response)
  if (deny) {
    const refusal = { error: 'access_denied', error_description: 'the user declined' }
    return await provider.interactionFinished(request, response, refusal, { mergeWithLastSubmission: false })
  }
  if (prompt.name === 'login') {
    return await provider.interactionFinished(request, response, { login: { accountId: settings.user.id } })
  }
  const known = grantId === undefined ? undefined : await provider.Grant.find(grantId)
  const grant = known ?? new provider.Grant({ accountId: settings.user.id, clientId: settings.clientId })
  grant.addOIDCScope(SCOPES.join(' '))
  grant.addResourceScope(`${settings.issuer}/api`, SCOPES.join(' '))
  const result = { consent: { grantId: await grant.save() } }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true })
}

let shared: JsonWebKey | undefined

/** Making an RSA key takes a while, so all sandboxes of a process share one. */
function signingKey() {
  shared ??= generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
  return { ...shared, kid: 'ins_sandbox', use: 'sig', alg: 'RS256' } as never
}
