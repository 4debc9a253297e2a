// The broker's refresh token: a JWE (RFC 7516) under the broker's own key that identifies a session, so that the broker stores none.
import { createHash } from 'node:crypto'
import { EncryptJWT, errors, jwtDecrypt } from 'jose'
import type { Clock } from '../host/clock.ts'
import { BrokerError } from './errors.ts'

/** The session that a token stands for. */
export interface SessionReference {
  readonly sessionId: string
  readonly userId: string
  /** The Clerk instance, by its Frontend API URL. */
  readonly issuer: string
}

interface Key {
  readonly id: string
  readonly secret: Uint8Array
}

const TYPE = 'cadzero-refresh+jwt'

export class RefreshTokens {
  readonly #keys: readonly Key[]
  readonly #maxAgeSeconds: number
  readonly #clock: Clock

  /**
   * @param secrets 32 bytes each; the first encrypts, all of them decrypt, so that keys can be rotated
   * @param maxAgeSeconds maximum age of a token, even if its session lives longer
   */
  constructor(secrets: readonly Uint8Array[], maxAgeSeconds: number, clock: Clock) {
    this.#keys = secrets.map((secret) => ({ id: keyId(secret), secret }))
    this.#maxAgeSeconds = maxAgeSeconds
    this.#clock = clock
  }

  /**
   * @param sessionExpiresAt Unix time in seconds; the token never outlives its session
   * @throws BrokerError misconfigured without a key
   */
  async issue({ sessionId, userId, issuer }: SessionReference, sessionExpiresAt: number): Promise<string> {
    const [key] = this.#keys
    if (!key) throw new BrokerError('misconfigured', 'no_encryption_key')
    const now = Math.floor(this.#clock.now())
    return await new EncryptJWT({ sid: sessionId })
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', typ: TYPE, kid: key.id })
      .setIssuer(issuer)
      .setSubject(userId)
      .setIssuedAt(now)
      .setExpirationTime(Math.min(sessionExpiresAt, now + this.#maxAgeSeconds))
      .encrypt(key.secret)
  }

  /**
   * @param options.allowExpired accept an expired token: enough to end its session
   * @throws BrokerError invalid_grant if the token is altered, expired, or not from this broker
   */
  async verify(token: string, { allowExpired = false } = {}): Promise<SessionReference> {
    try {
      const { payload } = await jwtDecrypt(token, ({ kid }) => this.#secretOf(kid), {
        typ: TYPE,
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: ['A256GCM'],
        requiredClaims: ['sub', 'iss', 'iat', 'exp', 'sid'],
        currentDate: new Date(this.#clock.now() * 1000),
        ...(allowExpired ? { clockTolerance: Number.MAX_SAFE_INTEGER } : {}),
      })
      return { sessionId: String(payload.sid), userId: String(payload.sub), issuer: String(payload.iss) }
    } catch (error) {
      if (error instanceof BrokerError) throw error
      const reason = error instanceof errors.JWTExpired ? 'refresh_token_expired' : 'refresh_token_invalid'
      throw new BrokerError('invalid_grant', reason)
    }
  }

  #secretOf(id: string | undefined): Uint8Array {
    const key = this.#keys.find((candidate) => candidate.id === id)
    if (!key) throw new BrokerError('invalid_grant', 'refresh_token_unknown_key')
    return key.secret
  }
}

function keyId(secret: Uint8Array): string {
  return createHash('sha256').update(secret).digest('base64url').slice(0, 11)
}
