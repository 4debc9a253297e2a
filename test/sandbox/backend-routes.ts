// The routes of Clerk's Backend API, with answers of exactly the same shape, since the SDK does not validate them.
import { createPublicKey } from 'node:crypto'
import type { ClerkBackend, ClerkSession, ClerkTemplate } from './backend.ts'
import type { HttpResponse } from './front.ts'

export interface BackendRequest {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly authorization: string | undefined
  readonly body: Buffer
}

const [MIN_LIFETIME, MAX_LIFETIME] = [30, 315_360_000] // s
const MIN_SESSION = 300 // s

/** The answer to a request; undefined if its path is not of the Backend API. */
export async function handleBackend(clerk: ClerkBackend, request: BackendRequest): Promise<HttpResponse | undefined> {
  if (!request.path.startsWith('/v1/')) return undefined
  if (!request.authorization?.startsWith('Bearer ')) {
    return refuse(401, 'authorization_header_format_invalid', 'Invalid Authorization header format')
  }
  if (request.authorization !== `Bearer ${clerk.secretKey}`) {
    const message = 'The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.'
    return refuse(401, 'clerk_key_invalid', message)
  }
  const params = parseBody(request.body)
  if (!params) return refuse(400, 'request_body_invalid', 'Request body invalid')
  const [resource, id, action, name] = request.path.slice('/v1/'.length).split('/').map(decodeURIComponent)
  switch (resource) {
    case 'sessions':
      return await handleSession(clerk, request.method, id ?? '', action, name, params)
    case 'users':
      return handleUser(clerk, request.method, id ?? '')
    case 'jwt_templates':
      return handleTemplates(clerk, request, id, params)
    case 'jwks':
      return json({ keys: [publicJwk(clerk)] })
    case 'instance': {
      const instance = { object: 'instance', id: clerk.instanceId, environment_type: 'development' }
      return json({ ...instance, allowed_origins: null, workspace_id: null })
    }
    default:
      return refuse(404, 'resource_not_found', 'not found')
  }
}

async function handleSession(
  clerk: ClerkBackend,
  method: string,
  id: string,
  action: string | undefined,
  template: string | undefined,
  params: Record<string, unknown>,
): Promise<HttpResponse> {
  const session = clerk.sessions.get(id)
  if (!session) return refuse(404, 'resource_not_found', 'Session not found', `No session was found with id ${id}`)
  const status = clerk.status(id)
  if (method === 'GET' && action === undefined) return json(describeSession(session, status))
  if (method === 'POST' && action === 'revoke') {
    clerk.setStatus(id, 'revoked')
    return json(describeSession(session, 'revoked'))
  }
  if (method === 'PATCH' && action === undefined) return extendSession(clerk, session, params)
  if (method !== 'POST' || action !== 'tokens') return refuse(404, 'resource_not_found', 'not found')
  if (clerk.banned.has(session.userId)) return refuse(403, 'user_banned', 'User is banned')
  if (status !== 'active' && status !== 'pending') {
    return refuse(404, 'resource_not_found', 'Session not found', `No session was found with id ${id}`)
  }
  if (template !== undefined && !clerk.templateNamed(template)) {
    return refuse(404, 'resource_not_found', 'JWT template not found', `No JWT template exists with name: ${template}`)
  }
  const { expires_in_seconds: lifetime } = params
  if (lifetime !== undefined && !isLifetime(lifetime)) return refuse(422, 'form_param_value_invalid', 'is invalid')
  session.lastActiveAt = Date.now()
  const jwt = await clerk.sessionToken(id, {
    azp: null,
    ...(template === undefined ? {} : { template }),
    ...(lifetime === undefined ? {} : { lifetimeSeconds: lifetime as number }),
  })
  return json({ object: 'token', jwt })
}

/** The address and the rules are those of Clerk's announcement of custom session limits; the exact answers are not documented. */
function extendSession(clerk: ClerkBackend, session: ClerkSession, params: Record<string, unknown>): HttpResponse {
  const { allowed, refusal } = clerk.customLimits
  if (!allowed) return refuse(refusal, 'unsupported_subscription_plan_features', 'Unsupported plan features')
  const { expire_at: expireAt } = params
  const seconds = (Number(expireAt) - Date.now()) / 1000
  if (!Number.isInteger(expireAt) || seconds < MIN_SESSION - 1 || seconds > MAX_LIFETIME) {
    return refuse(422, 'form_param_value_invalid', 'expire_at is invalid')
  }
  session.expireAt = Number(expireAt)
  session.abandonAt = Number(expireAt)
  return json(describeSession(session, clerk.status(session.id)))
}

function handleUser(clerk: ClerkBackend, method: string, id: string): HttpResponse {
  const hasSession = [...clerk.sessions.values()].some(({ userId }) => userId === id)
  if (method !== 'GET' || (id !== clerk.user.id && !hasSession)) {
    return refuse(404, 'resource_not_found', 'not found', `No user was found with id ${id}`)
  }
  const [email, fullName] = id === clerk.user.id ? [clerk.user.email, clerk.user.name] : [`${id}@example.com`, 'Eve']
  const [first = '', ...rest] = fullName.split(' ')
  return json({
    object: 'user',
    id,
    username: null,
    first_name: first,
    last_name: rest.join(' ') || null,
    primary_email_address_id: 'idn_primary',
    email_addresses: [
      { object: 'email_address', id: 'idn_other', email_address: 'other@example.com' },
      { object: 'email_address', id: 'idn_primary', email_address: email },
    ],
    banned: clerk.banned.has(id),
    locked: false,
    created_at: 0,
    updated_at: 0,
  })
}

function handleTemplates(
  clerk: ClerkBackend,
  { method, query }: BackendRequest,
  id: string | undefined,
  params: Record<string, unknown>,
): HttpResponse {
  if (method === 'GET' && id === undefined) {
    const data = [...clerk.templates.values()].map(describeTemplate)
    return json(query.paginated === 'true' ? { data, total_count: data.length } : data)
  }
  const template = clerk.templates.get(id ?? '')
  if (!template) return refuse(404, 'resource_not_found', 'JWT template not found', 'No JWT template exists')
  if (method !== 'PATCH') return json(describeTemplate(template))
  const { name, claims, lifetime = template.lifetime, allowed_clock_skew: skew = template.allowedClockSkew } = params
  if (typeof name !== 'string' || typeof claims !== 'object' || claims === null) {
    return refuse(422, 'form_param_missing', 'name and claims are required')
  }
  if (!isLifetime(lifetime)) return refuse(422, 'form_param_value_invalid', 'lifetime is invalid')
  Object.assign(template, { name, claims, lifetime, allowedClockSkew: skew })
  return json(describeTemplate(template))
}

function describeSession(session: ClerkSession, status: string): object {
  return {
    object: 'session',
    id: session.id,
    user_id: session.userId,
    client_id: `client_${session.id.slice('sess_'.length)}`,
    actor: session.actor === null ? null : { sub: session.actor },
    status,
    last_active_organization_id: null,
    last_active_at: session.lastActiveAt, // Clerk's times are in milliseconds
    latest_activity: null,
    expire_at: session.expireAt,
    abandon_at: session.abandonAt,
    updated_at: session.lastActiveAt,
    created_at: session.createdAt,
    tasks: null,
  }
}

function describeTemplate({ id, name, claims, lifetime, allowedClockSkew }: ClerkTemplate): object {
  return {
    object: 'jwt_template',
    id,
    name,
    claims,
    lifetime,
    allowed_clock_skew: allowedClockSkew,
    custom_signing_key: false,
    signing_algorithm: 'RS256',
    created_at: 0,
    updated_at: 0,
  }
}

function publicJwk({ signingKey }: ClerkBackend): object {
  const { kid } = signingKey.jwk
  return {
    ...createPublicKey(signingKey.publicKey.export({ type: 'spki', format: 'pem' })).export({ format: 'jwk' }),
    kid,
    use: 'sig',
    alg: 'RS256',
  }
}

function isLifetime(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= MIN_LIFETIME && value <= MAX_LIFETIME
}

function parseBody(body: Buffer): Record<string, unknown> | undefined {
  if (body.length === 0) return {}
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

// Without a charset: the SDK parses JSON only for exactly this content type.
function json(value: unknown, status = 200): HttpResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(value)) }
}

function refuse(status: number, code: string, message: string, longMessage = message): HttpResponse {
  return json({ errors: [{ message, long_message: longMessage, code }], clerk_trace_id: 'sandbox' }, status)
}
