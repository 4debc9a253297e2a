// Tokens that only the broker opens: JWE (RFC 7516) under its own keys, so that it stores nothing.
import { createHash } from 'node:crypto'
import { type CompactJWEHeaderParameters, EncryptJWT, errors, type JWTPayload, jwtDecrypt } from 'jose'
import { importAesKey } from '../host/aes-key.ts'
import type { Clock } from '../host/clock.ts'
import { BrokerError, OutdatedError } from './errors.ts'

export type SealedType = 'cadzero-refresh+jwt' | 'cadzero-code+jwt'

export interface SealedClaims extends JWTPayload {
  readonly iss: string
  readonly sub: string
  readonly sid: string
}

export interface OpenOptions {
  readonly requiredClaims: readonly string[]
  /** Accept a token that has expired. */
  readonly allowExpired?: boolean
}

interface Key {
  readonly id: string
  readonly imported: ReturnType<typeof importAesKey>
}

const COMPACT_JWE = /^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/ // `dir` has no encrypted key; the library would skip white space
const MAX_LENGTH = 8 * 1024

export class Sealer {
  readonly #keys: readonly Key[]
  readonly #current: Key
  readonly #clock: Clock

  /**
   * @param secrets 32 bytes each; the first seals, all of them open, so that keys can be rotated
   * @throws TypeError without a key
   */
  constructor(secrets: readonly Uint8Array[], clock: Clock) {
    this.#keys = secrets.map((secret) => ({ id: keyId(secret), imported: importAesKey(secret) }))
    const [current] = this.#keys
    if (!current) throw new TypeError('keys: at least one key is needed')
    this.#current = current
    this.#clock = clock
  }

  /** @param expiresAt Unix time in seconds */
  async seal(typ: SealedType, claims: SealedClaims, expiresAt: number): Promise<string> {
    return await new EncryptJWT(claims)
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', typ, kid: this.#current.id })
      .setIssuedAt(Math.floor(this.#clock.now()))
      .setExpirationTime(Math.floor(expiresAt))
      .encrypt(await this.#current.imported)
  }

  /**
   * @throws BrokerError unknown_key if it was sealed with a key that this copy does not have; invalid_grant if it is altered,
   * has expired, or is of another type
   */
  async open(typ: SealedType, token: string, { requiredClaims, allowExpired }: OpenOptions): Promise<SealedClaims> {
    if (token.length > MAX_LENGTH || !COMPACT_JWE.test(token))
      throw new BrokerError('invalid_grant', 'sealed_malformed')
    const now = this.#clock.now()
    try {
      const { payload } = await jwtDecrypt(token, (header) => this.#keyOf(typ, header).imported, {
        typ,
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: ['A256GCM'],
        requiredClaims: ['sub', 'iss', 'iat', 'exp', 'sid', ...requiredClaims],
        currentDate: new Date(now * 1000),
        ...(allowExpired ? { clockTolerance: Number.MAX_SAFE_INTEGER } : {}),
      })
      const { iss, sub, sid } = payload
      return { ...payload, iss: String(iss), sub: String(sub), sid: String(sid) }
    } catch (error) {
      if (error instanceof BrokerError) throw error
      if (error instanceof errors.JWTExpired) throw new OutdatedError('sealed_expired', now)
      throw new BrokerError('invalid_grant', 'sealed_invalid')
    }
  }

  #keyOf(typ: SealedType, header: CompactJWEHeaderParameters): Key {
    const key = this.#keys.find(({ id }) => id === header.kid)
    if (key) return key
    // A removed key is the operator's, and must sign no user out: another copy, or the next configuration, may have it.
    const isOurs = header.typ === typ && typeof header.kid === 'string'
    throw isOurs ? new BrokerError('unknown_key', 'unknown_key') : new BrokerError('invalid_grant', 'sealed_invalid')
  }
}

function keyId(secret: Uint8Array): string {
  return createHash('sha256').update(secret).digest('base64url').slice(0, 11)
}
