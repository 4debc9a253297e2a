// Verifies a Clerk session token that a browser has handed over, against the public keys (JWKS) of the Clerk instance.
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
import { ResponseWatch } from './response-watch.ts'
import { CLOCK_TOLERANCE, clockSkew, correction } from './server-time.ts'

export interface SessionTokenOptions {
  readonly issuer: string
  /** The origins that `azp` may name; empty for any. */
  readonly authorizedParties: readonly string[]
  readonly fetch: Fetch
  readonly clock: Clock
}

/** The claims of a verified token. */
export interface SessionClaims {
  readonly userId: string
  /** Null in a token from a JWT template, which names no session. */
  readonly sessionId: string | null
  /** Seconds from now for which the token is valid. */
  readonly lifetime: number
}

const JWKS_COOLDOWN = 60_000 // ms; forged tokens with invented key IDs must not each cause a request to Clerk
const SKEW_COOLDOWN = 60 // s; forged tokens with wrong times must not each cause a request to Clerk
// Decoders of base64 skip line breaks and tabs, which would inject a header into the request of a client (RFC 7515 section 7.1).
const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const LONGEST_TOKEN = 16 * 1024 // characters; a session token is about 1 KiB
const JWKS_PATH = '/.well-known/jwks.json'

export class SessionTokenVerifier {
  readonly #options: SessionTokenOptions
  readonly #keys: JWTVerifyGetKey
  readonly #watch: ResponseWatch
  readonly #jwksUrl: URL
  /** Seconds to add to this computer's clock for the provider's time, as last measured. */
  #correction = 0
  #measuredAt = Number.NEGATIVE_INFINITY

  constructor(options: SessionTokenOptions) {
    this.#options = options
    this.#jwksUrl = new URL(`${options.issuer.replace(/\/$/, '')}${JWKS_PATH}`)
    this.#watch = new ResponseWatch(options.fetch, options.clock)
    this.#keys = createRemoteJWKSet(this.#jwksUrl, {
      cooldownDuration: JWKS_COOLDOWN,
      [customFetch]: (url, { headers }) => this.#watch.fetch(url, { headers }),
    })
  }

  /**
   * Checks the signature, `typ`, `iss`, `exp`, `nbf`, `azp` if parties are configured, and that the sign-in is complete (`sts`).
   * If the times do not fit, the clock of this computer may be wrong: they are checked once more against the provider's time.
   * @throws CallbackRefusedError if the token proves nothing, UnavailableError if the keys cannot be fetched
   */
  async verify(token: string): Promise<SessionClaims> {
    if (token.length > LONGEST_TOKEN || !COMPACT_JWS.test(token)) throw new CallbackRefusedError('forged')
    try {
      return await this.#verify(token)
    } catch (error) {
      const isTime = error instanceof CallbackRefusedError && error.reason === 'expired'
      if (!isTime || !(await this.#measureSkew())) throw error
      return await this.#verify(token)
    }
  }

  /** @returns whether the correction has changed enough for another check */
  async #measureSkew(): Promise<boolean> {
    const { clock, fetch } = this.#options
    if (clock.monotonic() - this.#measuredAt < SKEW_COOLDOWN) return false
    this.#measuredAt = clock.monotonic()
    const before = this.#correction
    const { headers } = await fetch(this.#jwksUrl).catch(() => new Response())
    this.#correction = correction(clockSkew(headers, clock))
    return Math.abs(this.#correction - before) > CLOCK_TOLERANCE
  }

  async #verify(token: string): Promise<SessionClaims> {
    const { issuer, clock } = this.#options
    const now = clock.now() + this.#correction
    try {
      // Checked first: a token of another instance is a mix-up, not a forgery, and no reason to fetch keys.
      if (decodeJwt(token).iss !== issuer) throw new CallbackRefusedError('wrong_audience')
      const { payload, protectedHeader } = await jwtVerify(token, this.#keys, {
        issuer,
        algorithms: ['RS256', 'RS384', 'RS512'],
        requiredClaims: ['sub', 'exp', 'iat'],
        clockTolerance: CLOCK_TOLERANCE,
        currentDate: new Date(now * 1000),
      })
      // An OAuth access token (`at+jwt`) is not a session token. Clerk's own libraries accept a token without `typ`.
      if (protectedHeader.typ !== undefined && protectedHeader.typ.toUpperCase() !== 'JWT') {
        throw new CallbackRefusedError('forged')
      }
      return this.#claims(payload, now)
    } catch (error) {
      throw areKeysMissing(error)
        ? new UnavailableError('network', undefined, this.#watch.networkFailure)
        : failureOf(error)
    }
  }

  #claims({ sub, sid, sts, azp, exp = 0, iat = 0 }: JWTPayload, now: number): SessionClaims {
    const { authorizedParties } = this.#options
    if (typeof sub !== 'string' || sub === '') throw new CallbackRefusedError('forged')
    if (sid !== undefined && (typeof sid !== 'string' || sid === '')) throw new CallbackRefusedError('forged')
    if (authorizedParties.length > 0 && !authorizedParties.some((party) => party === azp)) {
      throw new CallbackRefusedError('wrong_audience')
    }
    if (sts === 'pending') throw new CallbackRefusedError('pending') // an API would refuse it as well
    // If this machine's clock is behind, the token's own lifetime is the better bound.
    const lifetime = Math.min(exp - now, exp - iat)
    if (lifetime <= 0) throw new CallbackRefusedError('expired')
    return { userId: sub, sessionId: sid ?? null, lifetime }
  }
}

function failureOf(error: unknown): Error {
  if (error instanceof CallbackRefusedError) return error
  if (error instanceof errors.JWTExpired) return new CallbackRefusedError('expired')
  const claim = error instanceof errors.JWTClaimValidationFailed ? error.claim : undefined
  return new CallbackRefusedError(claim === 'nbf' ? 'expired' : 'forged')
}

/** Whether the keys could not be fetched or parsed: then nothing is known about the token. */
function areKeysMissing(error: unknown): boolean {
  if (error instanceof NetworkError || error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid)
    return true
  return error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC' // a status other than 200, or a body that is not JSON
}
