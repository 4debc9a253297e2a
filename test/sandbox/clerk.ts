// Changes oidc-provider's answers to Clerk's: userinfo, the status of invalid_grant, and scripted metadata.
import { jwtVerify } from 'jose'
import type { Answer } from './front.ts'
import { PATHS, type ProviderSettings, profileOf } from './provider.ts'
import type { SeenRequest } from './record.ts'

export interface Deviations {
  readonly invalidGrantStatus?: 400 | 401
  readonly metadata?: Readonly<Record<string, unknown>>
}

const DISCOVERY: readonly string[] = [PATHS.discovery, PATHS.oauthDiscovery]

/** Userinfo for a JWT access token. Only tokens for a resource can be JWTs, and oidc-provider refuses all of those. */
export async function answerUserinfo(
  seen: SeenRequest,
  authorization: string | undefined,
  settings: ProviderSettings,
): Promise<Answer | undefined> {
  const { issuer, tokenFormat, signingKey } = settings
  if (tokenFormat !== 'jwt' || seen.path !== PATHS.userinfo) return undefined
  const [, token] = /^Bearer (\S+)$/i.exec(authorization ?? '') ?? []
  if (token === undefined) return refuse('no access token provided')
  const verified = await jwtVerify(token, signingKey.publicKey, { issuer, typ: 'at+jwt' }).catch(() => undefined)
  if (verified === undefined) return refuse('access token is expired or invalid')
  const scopes = String(verified.payload.scope).split(' ')
  return json(200, { sub: verified.payload.sub, ...profileOf(settings, scopes) })
}

export function translate(seen: SeenRequest, answer: Answer, deviations: Deviations): Answer {
  const { metadata, invalidGrantStatus } = deviations
  if (DISCOVERY.includes(seen.path) && metadata) return json(answer.status, { ...parse(answer), ...metadata })
  if (seen.path === PATHS.userinfo && answer.status === 200) {
    const claims = parse(answer)
    return json(200, { object: 'oauth_user_info', instance_id: 'ins_sandbox', user_id: claims.sub, ...claims })
  }
  const isInvalidGrant = seen.path === PATHS.token && answer.status === 400 && parse(answer).error === 'invalid_grant'
  return isInvalidGrant ? { ...answer, status: invalidGrantStatus ?? answer.status } : answer
}

function refuse(description: string): Answer {
  const { headers, ...answer } = json(401, { error: 'invalid_token', error_description: description })
  const challenge = `Bearer error="invalid_token", error_description="${description}"`
  return { ...answer, headers: { ...headers, 'www-authenticate': challenge } }
}

function parse({ body }: Answer): Record<string, unknown> {
  return JSON.parse(body.toString('utf8'))
}

function json(status: number, value: unknown): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(value)) }
}
