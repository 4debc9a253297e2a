// Changes oidc-provider's responses to Clerk's: userinfo, the status of invalid_grant, and scripted metadata.
import { jwtVerify } from 'jose'
import type { HttpResponse } from './front.ts'
import { PATHS, type ProviderSettings, profileOf } from './provider.ts'
import type { RecordedRequest } from './record.ts'

export interface Deviations {
  readonly invalidGrantStatus?: 400 | 401
  readonly metadata?: Readonly<Record<string, unknown>>
  /** Seconds between two polls of a device; 5 at Clerk. */
  readonly deviceInterval?: number
}

const DISCOVERY: readonly string[] = [PATHS.discovery, PATHS.oauthDiscovery]

/** Userinfo for a JWT access token. Only tokens for a resource can be JWTs, and oidc-provider refuses all of those. */
export async function handleUserinfo(
  { path }: RecordedRequest,
  authorization: string | undefined,
  settings: ProviderSettings,
): Promise<HttpResponse | undefined> {
  const { issuer, tokenFormat, signingKey } = settings
  if (tokenFormat !== 'jwt' || path !== PATHS.userinfo) return undefined
  const [, token] = /^Bearer (\S+)$/i.exec(authorization ?? '') ?? []
  if (token === undefined) return refuse('no access token provided')
  const verified = await jwtVerify(token, signingKey.publicKey, { issuer, typ: 'at+jwt' }).catch(() => undefined)
  if (verified === undefined) return refuse('access token is expired or invalid')
  const scopes = String(verified.payload.scope).split(' ')
  return json(200, { sub: verified.payload.sub, ...profileOf(settings, scopes) })
}

export function translate({ path }: RecordedRequest, response: HttpResponse, deviations: Deviations): HttpResponse {
  const { metadata, invalidGrantStatus } = deviations
  if (DISCOVERY.includes(path) && metadata) return json(response.status, { ...parse(response), ...metadata })
  if (path === PATHS.userinfo && response.status === 200) {
    const claims = parse(response)
    return json(200, { object: 'oauth_user_info', instance_id: 'ins_sandbox', user_id: claims.sub, ...claims })
  }
  if (path === PATHS.device_authorization && response.status === 200) {
    return json(200, { ...parse(response), interval: deviations.deviceInterval ?? 5 })
  }
  const isInvalidGrant = path === PATHS.token && response.status === 400 && parse(response).error === 'invalid_grant'
  return isInvalidGrant ? { ...response, status: invalidGrantStatus ?? response.status } : response
}

function refuse(description: string): HttpResponse {
  const { headers, ...response } = json(401, { error: 'invalid_token', error_description: description })
  const challenge = `Bearer error="invalid_token", error_description="${description}"`
  return { ...response, headers: { ...headers, 'www-authenticate': challenge } }
}

function parse({ body }: HttpResponse): Record<string, unknown> {
  return JSON.parse(body.toString('utf8'))
}

function json(status: number, value: unknown): HttpResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(value)) }
}
