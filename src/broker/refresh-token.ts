// The broker's refresh token: a JWE (RFC 7516) of its own key that names a session, so that the broker need remember none.
import { createHash } from 'node:crypto'
import { EncryptJWT, errors, jwtDecrypt } from 'jose'
import type { Clock } from '../host/clock.ts'
import { BrokerError } from './errors.ts'

/** What a refresh token stands for. */
export interface Held {
  readonly sessionId: string
  readonly userId: string
  /** The Clerk instance. */
  readonly issuer: string
}

interface Key {
  readonly id: string
  readonly secret: Uint8Array
}

const TYPE = 'cadzero-refresh+jwt'

export class RefreshTokens {
  readonly #keys: readonly Key[]
  readonly #maxAge: number
  readonly #clock: Clock

  /**
   * @param secrets 32 bytes each; the first seals, all open, so that a key can be changed without signing anyone out
   * @param maxAge seconds after which a token is outdated, whatever its session says
   */
  constructor(secrets: readonly Uint8Array[], maxAge: number, clock: Clock) {
    this.#keys = secrets.map((secret) => ({ id: keyId(secret), secret }))
    this.#maxAge = maxAge
    this.#clock = clock
  }

  /** @param sessionEnd Unix seconds; no token outlives its session */
  async seal({ sessionId, userId, issuer }: Held, sessionEnd: number): Promise<string> {
    const [key] = this.#keys
    if (!key) throw new BrokerError('set_up', 'no_key')
    const now = Math.floor(this.#clock.now())
    return await new EncryptJWT({ sid: sessionId })
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', typ: TYPE, kid: key.id })
      .setIssuer(issuer)
      .setSubject(userId)
      .setIssuedAt(now)
      .setExpirationTime(Math.min(sessionEnd, now + this.#maxAge))
      .encrypt(key.secret)
  }

  /**
   * @param allowOutdated where only the right to end a session is asked for
   * @throws BrokerError invalid_grant where it is altered, outdated, or not ours
   */
  async open(token: string, allowOutdated = false): Promise<Held> {
    try {
      const { payload } = await jwtDecrypt(token, ({ kid }) => this.#secretOf(kid), {
        typ: TYPE,
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: ['A256GCM'],
        requiredClaims: ['sub', 'iss', 'iat', 'exp', 'sid'],
        currentDate: new Date(this.#clock.now() * 1000),
        ...(allowOutdated ? { clockTolerance: Number.MAX_SAFE_INTEGER } : {}),
      })
      return { sessionId: String(payload.sid), userId: String(payload.sub), issuer: String(payload.iss) }
    } catch (error) {
      throw new BrokerError('invalid_grant', error instanceof errors.JWTExpired ? 'outdated' : 'not_ours')
    }
  }

  #secretOf(id: string | undefined): Uint8Array {
    const key = this.#keys.find((one) => one.id === id)
    if (!key) throw new BrokerError('invalid_grant', 'unknown_key')
    return key.secret
  }
}

function keyId(secret: Uint8Array): string {
  return createHash('sha256').update(secret).digest('base64url').slice(0, 11)
}
