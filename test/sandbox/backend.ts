// A stand-in for Clerk's sessions, session tokens and JWT templates. The Backend API in backend-routes.ts works on it.
import { randomBytes } from 'node:crypto'
import { importJWK, type JWK, SignJWT } from 'jose'
import type { SigningKey } from './keys.ts'

export type SessionStatus =
  | 'active'
  | 'revoked'
  | 'ended'
  | 'expired'
  | 'removed'
  | 'abandoned'
  | 'replaced'
  | 'pending'

export interface TokenOptions {
  readonly lifetimeSeconds?: number
  /** The origin of the web page that requests the token, by default `PAGE_ORIGIN`; null as the Backend API does, which sets none. */
  readonly azp?: string | null
  readonly template?: string
  readonly issuedSecondsAgo?: number
  /** Override the other claims. */
  readonly claims?: Readonly<Record<string, unknown>>
}

export interface BackendApi {
  /** The `apiUrl` of `createClerkClient`. */
  readonly url: string
  readonly secretKey: string
  /** Creates an active session and returns its id. @param options.actor the user who impersonates the session's user */
  createSession(options?: {
    readonly userId?: string
    readonly lifetimeSeconds?: number
    readonly actor?: string
  }): string
  /** A session token as Clerk's Frontend API issues it to a web page, or a token from a JWT template. */
  sessionToken(sessionId: string, options?: TokenOptions): Promise<string>
  setStatus(sessionId: string, status: SessionStatus): void
  status(sessionId: string): SessionStatus
  /** Forgets a session, as Clerk does a while after its end. */
  remove(sessionId: string): void
  /** Default lifetime of session tokens; Clerk's is 60 s. */
  setTokenLifetime(seconds: number): void
  /** @param claims that the template adds, such as `aud` */
  addTemplate(name: string, lifetimeSeconds: number, claims?: Readonly<Record<string, unknown>>): void
  /** Issues no more tokens for this user. */
  ban(userId: string): void
  /**
   * Whether an API client may move the end of one session (custom session limits), as the plan and the age of an instance
   * decide; by default it may not.
   * @param refusal the status with which the instance refuses
   */
  setCustomLimits(allowed: boolean, refusal?: 402 | 403 | 404 | 405 | 422): void
  /** The end of a session, in milliseconds. */
  expiryOf(sessionId: string): number
  /** Moves the end of a session, as an administrator does. @param expireAt in milliseconds */
  setExpiry(sessionId: string, expireAt: number): void
}

/** The origin of the sandbox's imaginary web app. */
export const PAGE_ORIGIN = 'https://www.example.com'

export interface ClerkSession {
  readonly id: string
  readonly userId: string
  readonly actor: string | null
  readonly createdAt: number
  expireAt: number
  abandonAt: number
  lastActiveAt: number
  status: SessionStatus
}

export interface ClerkTemplate {
  readonly id: string
  name: string
  claims: object
  lifetime: number
  allowedClockSkew: number
}

export interface BackendSettings {
  readonly issuer: string
  readonly user: { readonly id: string; readonly email: string; readonly name: string }
  readonly signingKey: SigningKey
}

const MAXIMUM_LIFETIME = 7 * 86_400 // s; Clerk's default
const SESSION_CATEGORY = 'cl_B7d4PD111AAA'
const TEMPLATE_CATEGORY = 'cl_B7d4PD222AAA'

/** Clerk's state, for the routes of the Backend API and for tests. */
export class ClerkBackend implements BackendApi {
  readonly secretKey = `sk_test_${randomBytes(24).toString('base64url')}`
  readonly instanceId = identifier('ins')
  readonly sessions = new Map<string, ClerkSession>()
  readonly templates = new Map<string, ClerkTemplate>()
  readonly banned = new Set<string>()
  customLimits: { readonly allowed: boolean; readonly refusal: number } = { allowed: false, refusal: 402 }
  readonly #settings: BackendSettings
  readonly #now: () => number
  #tokenLifetime = 60

  /** @param now the time of new tokens, in Unix seconds */
  constructor(settings: BackendSettings, now: () => number) {
    this.#settings = settings
    this.#now = now
  }

  get url(): string {
    return this.#settings.issuer
  }

  get user(): BackendSettings['user'] {
    return this.#settings.user
  }

  get signingKey(): SigningKey {
    return this.#settings.signingKey
  }

  createSession({ userId = this.#settings.user.id, lifetimeSeconds = MAXIMUM_LIFETIME, actor = '' } = {}): string {
    const id = identifier('sess')
    const now = Date.now()
    const expireAt = now + lifetimeSeconds * 1000
    this.sessions.set(id, {
      id,
      userId,
      actor: actor || null,
      createdAt: now,
      lastActiveAt: now,
      expireAt,
      abandonAt: expireAt,
      status: 'active',
    })
    return id
  }

  setStatus(sessionId: string, status: SessionStatus): void {
    this.#session(sessionId).status = status
  }

  status(sessionId: string): SessionStatus {
    const session = this.#session(sessionId)
    return session.status === 'active' && Date.now() >= session.expireAt ? 'expired' : session.status
  }

  remove(sessionId: string): void {
    this.sessions.delete(sessionId)
  }

  setTokenLifetime(seconds: number): void {
    this.#tokenLifetime = seconds
  }

  addTemplate(name: string, lifetimeSeconds: number, claims = {}): void {
    const id = identifier('jtmp')
    this.templates.set(id, { id, name, claims, lifetime: lifetimeSeconds, allowedClockSkew: 5 })
  }

  ban(userId: string): void {
    this.banned.add(userId)
  }

  setCustomLimits(allowed: boolean, refusal: 402 | 403 | 404 | 405 | 422 = 402): void {
    this.customLimits = { allowed, refusal }
  }

  setExpiry(sessionId: string, expireAt: number): void {
    this.#session(sessionId).expireAt = expireAt
  }

  expiryOf(sessionId: string): number {
    return this.#session(sessionId).expireAt
  }

  templateNamed(name: string): ClerkTemplate | undefined {
    return [...this.templates.values()].find((template) => template.name === name)
  }

  /** A token that the Backend API issues has no `azp`; a token from a template has no `sid` either. */
  async sessionToken(sessionId: string, options: TokenOptions = {}): Promise<string> {
    const { azp = PAGE_ORIGIN, template: name, issuedSecondsAgo = 0 } = options
    const { issuer, signingKey } = this.#settings
    const session = this.#session(sessionId)
    const template = name === undefined ? undefined : this.templateNamed(name)
    if (name !== undefined && !template) throw new Error(`the sandbox has no template ${name}`)
    const lifetime = options.lifetimeSeconds ?? template?.lifetime ?? this.#tokenLifetime
    const issuedAt = Math.floor(this.#now()) - issuedSecondsAgo
    const ownClaims = template
      ? template.claims
      : { sid: sessionId, v: 2, fva: [0, -1], sts: session.status === 'pending' ? 'pending' : 'active' }
    const claims = {
      ...ownClaims,
      iss: issuer,
      sub: session.userId,
      iat: issuedAt,
      nbf: issuedAt - 10,
      exp: issuedAt + lifetime,
      jti: randomBytes(10).toString('hex'),
      ...(azp === null ? {} : { azp }),
      ...options.claims,
    }
    const header = {
      alg: 'RS256',
      typ: 'JWT',
      kid: String(signingKey.jwk.kid),
      cat: template ? TEMPLATE_CATEGORY : SESSION_CATEGORY,
    }
    return await new SignJWT(claims).setProtectedHeader(header).sign(await importJWK(signingKey.jwk as JWK, 'RS256'))
  }

  #session(sessionId: string): ClerkSession {
    const session = this.sessions.get(sessionId)
    if (!session) throw new Error('the sandbox has no such session')
    return session
  }
}

function identifier(kind: string): string {
  return `${kind}_2${randomBytes(12).toString('hex')}`
}
