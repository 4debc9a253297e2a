// The authorization code of the hand-off: sealed for one session, challenge and redirect address, valid for a minute, used once.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../host/clock.ts'
import type { Random } from '../host/random.ts'
import { COPIES_DIFFER } from './clerk-time.ts'
import { BrokerError, OutdatedError } from './errors.ts'
import type { SessionReference } from './refresh-token.ts'
import type { Sealer } from './sealed.ts'
import type { SingleUse } from './single-use.ts'

export interface CodeBinding extends SessionReference {
  /** The origin of the page that requested the code. */
  readonly azp: string
  /** PKCE S256 (RFC 7636). */
  readonly codeChallenge: string
  readonly redirectUri: string
}

export interface CodeProof {
  readonly codeVerifier: string
  readonly redirectUri: string
}

export interface OpenedCode extends SessionReference {
  /** @throws BrokerError invalid_grant if the code was used before */
  use(): Promise<void>
}

export const CODE_SECONDS = 60
const TYPE = 'cadzero-code+jwt'
const CLAIMS = ['jti', 'azp', 'code_challenge', 'redirect_uri']

export class AuthorizationCodes {
  readonly #sealer: Sealer
  readonly #singleUse: SingleUse
  readonly #clock: Clock
  readonly #random: Random

  constructor(sealer: Sealer, singleUse: SingleUse, clock: Clock, random: Random) {
    this.#sealer = sealer
    this.#singleUse = singleUse
    this.#clock = clock
    this.#random = random
  }

  async issue({ sessionId, userId, issuer, azp, codeChallenge, redirectUri }: CodeBinding): Promise<string> {
    const claims = {
      iss: issuer,
      sub: userId,
      sid: sessionId,
      jti: this.#random(16).toString('base64url'),
      azp,
      code_challenge: codeChallenge,
      redirect_uri: redirectUri,
    }
    return await this.#sealer.seal(TYPE, claims, this.#clock.now() + CODE_SECONDS)
  }

  /** @throws BrokerError unknown_key; invalid_grant if the code is not ours, outdated, or bound to something else */
  async open(code: string, { codeVerifier, redirectUri }: CodeProof): Promise<OpenedCode> {
    const { iss, sub, sid, iat, ...claims } = await this.#sealer.open(TYPE, code, { requiredClaims: CLAIMS })
    const now = this.#clock.now()
    // The grant would begin, and end, too early.
    if (Number(iat) > now + CODE_SECONDS) throw new OutdatedError('code_early', now)
    if (!isEqual(challengeOf(codeVerifier), String(claims.code_challenge))) {
      throw new BrokerError('invalid_grant', 'code_verifier_mismatch')
    }
    if (redirectUri !== claims.redirect_uri) throw new BrokerError('invalid_grant', 'redirect_uri_mismatch')
    return {
      issuer: iss,
      userId: sub,
      sessionId: sid,
      use: async () => {
        const isFirst = await this.#singleUse.claim('code', String(claims.jti), CODE_SECONDS + COPIES_DIFFER)
        if (!isFirst) throw new BrokerError('invalid_grant', 'code_used')
      },
    }
  }
}

function challengeOf(codeVerifier: string): string {
  return createHash('sha256').update(codeVerifier).digest('base64url')
}

function isEqual(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other))
}
