// Checks a Clerk session token that a browser has handed over: by the instance's public keys, without any secret.
import {
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose'
import type { Clock } from '../host/clock.ts'
import { type Fetch, NetworkError } from '../host/network.ts'
import { CallbackRefusedError, UnavailableError } from './errors.ts'

export interface SessionTokenOptions {
  readonly issuer: string
  /** Origins that `azp` may name; none for any. */
  readonly authorizedParties: readonly string[]
  readonly fetch: Fetch
  readonly clock: Clock
}

/** What a token that has stood the checks says. */
export interface SessionClaims {
  readonly userId: string
  /** Null in a token made from a JWT template: those name no session. */
  readonly sessionId: string | null
  /** Seconds from now on for which it is good. */
  readonly lifetime: number
}

const CLOCK_TOLERANCE = 5 // s; what Clerk's own libraries allow
const JWKS_COOLDOWN = 60_000 // ms; forged tokens with made-up key ids must not become requests to Clerk
const JWKS_PATH = '/.well-known/jwks.json'

export class SessionTokenCheck {
  readonly #options: SessionTokenOptions
  readonly #keys: JWTVerifyGetKey

  constructor(options: SessionTokenOptions) {
    this.#options = options
    this.#keys = createRemoteJWKSet(new URL(`${options.issuer.replace(/\/$/, '')}${JWKS_PATH}`), {
      cooldownDuration: JWKS_COOLDOWN,
      [customFetch]: (url, { headers }) => options.fetch(url, { headers }),
    })
  }

  /**
   * Signature, `iss`, `exp`, `nbf`, `azp` where parties are configured, and that the sign-in is complete (`sts`).
   * @throws CallbackRefusedError where the token proves nothing, UnavailableError where the keys cannot be had
   */
  async verify(token: string): Promise<SessionClaims> {
    const { issuer, clock } = this.#options
    const now = clock.now()
    try {
      // Looked at first: another instance's token is a mix-up, not a forgery, and its key id is no reason to fetch keys.
      if (decodeJwt(token).iss !== issuer) throw new CallbackRefusedError('foreign')
      const { payload, protectedHeader } = await jwtVerify(token, this.#keys, {
        issuer,
        algorithms: ['RS256', 'RS384', 'RS512'],
        requiredClaims: ['sub', 'exp', 'iat'],
        clockTolerance: CLOCK_TOLERANCE,
        currentDate: new Date(now * 1000),
      })
      // An OAuth access token (`at+jwt`) is no session token; Clerk's own check lets a token without `typ` pass.
      if (protectedHeader.typ !== undefined && protectedHeader.typ.toUpperCase() !== 'JWT') {
        throw new CallbackRefusedError('forged')
      }
      return this.#read(payload, now)
    } catch (error) {
      throw failureOf(error)
    }
  }

  #read({ sub, sid, sts, azp, exp = 0, iat = 0 }: JWTPayload, now: number): SessionClaims {
    const { authorizedParties } = this.#options
    if (typeof sub !== 'string' || sub === '') throw new CallbackRefusedError('forged')
    if (sid !== undefined && (typeof sid !== 'string' || sid === '')) throw new CallbackRefusedError('forged')
    if (authorizedParties.length > 0 && !authorizedParties.some((party) => party === azp)) {
      throw new CallbackRefusedError('foreign')
    }
    if (sts === 'pending') throw new CallbackRefusedError('unfinished') // an API would refuse it as well
    // Of a clock that is behind, the token's own life says more than the time that seems left.
    const lifetime = Math.min(exp - now, exp - iat)
    if (lifetime <= 0) throw new CallbackRefusedError('expired')
    return { userId: sub, sessionId: sid ?? null, lifetime }
  }
}

function failureOf(error: unknown): Error {
  if (error instanceof CallbackRefusedError) return error
  if (hasNoKeys(error)) return new UnavailableError('network')
  if (error instanceof errors.JWTExpired) return new CallbackRefusedError('expired')
  const claim = error instanceof errors.JWTClaimValidationFailed ? error.claim : undefined
  return new CallbackRefusedError(claim === 'nbf' ? 'expired' : 'forged')
}

/** Whether the keys could not be had, or are none: then nothing is known of the token. */
function hasNoKeys(error: unknown): boolean {
  if (error instanceof NetworkError || error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid)
    return true
  return error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC' // an answer other than 200, or no JSON
}
