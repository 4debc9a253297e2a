// Which tokens open the broker. It verifies the signature with Clerk's SDK, and then what the token was issued for.
//
// Every API of the web app receives the user's session tokens. Only a fresh one, used once and issued to a listed page, may
// become a grant; with an audience configured, only a token that the page requested for the broker alone.
import type { JsonWebKey } from 'node:crypto'
import { TokenVerificationError } from '@clerk/backend/errors'
import { verifyJwt } from '@clerk/backend/jwt'
import { decodeProtectedHeader } from 'jose'
import type { Clock } from '../host/clock.ts'
import { COPIES_DIFFER } from './clerk-time.ts'
import { BrokerError, OutdatedError } from './errors.ts'
import type { SessionReference } from './refresh-token.ts'
import type { SigningKeys } from './signing-keys.ts'
import type { SingleUse } from './single-use.ts'

export interface SessionTokenOptions {
  readonly keys: SigningKeys
  readonly singleUse: SingleUse
  readonly issuers: readonly string[]
  readonly authorizedParties: readonly string[]
  /** The `aud` of the JWT template whose tokens are accepted; undefined accepts session tokens. */
  readonly audience: string | undefined
  readonly clock: Clock
}

export interface OpenedToken extends SessionReference {
  /** The origin of the page to which the token was issued. */
  readonly azp: string
  /** @throws BrokerError invalid_grant if the token was used before */
  use(): Promise<void>
}

const CATEGORY_SESSION = 'cl_B7d4PD111AAA'
const CATEGORY_TEMPLATE = 'cl_B7d4PD222AAA'
const MAX_AGE = 60 // s
const CLOCK_TOLERANCE = 5 // s; the default of Clerk's SDK
const REMEMBERED = CLOCK_TOLERANCE + MAX_AGE + COPIES_DIFFER // s
const ANY_TIME = 3_155_760_000_000 // ms; the SDK reads the clock of this computer, and leaves the times to `#checkAge`

type Claims = Readonly<Record<string, unknown>>

export class SessionTokenVerifier {
  readonly #options: SessionTokenOptions

  constructor(options: SessionTokenOptions) {
    this.#options = options
  }

  /**
   * @param sessionId the session that the client claims. A token of a JWT template names none: then Clerk must say that the
   * session belongs to the token's user
   * @throws BrokerError invalid_grant, interaction_required; 5xx if the keys or the configuration are missing
   */
  async verify(token: string, sessionId: string): Promise<OpenedToken> {
    const { category, keyId } = readHeader(token)
    const claims = await verifySignature(token, await this.#options.keys.find(keyId))
    const { iss, sub, azp, jti } = claims
    // Clerk signed it: the list of instances is wrong, not the token.
    if (!this.#options.issuers.includes(String(iss))) throw new BrokerError('misconfigured', 'issuer_not_served')
    this.#checkPurpose(category, claims, sessionId)
    if (typeof azp !== 'string' || !this.#options.authorizedParties.includes(azp)) throw refused('unauthorized_party')
    this.#checkAge(claims)
    if (claims.sts === 'pending') throw new BrokerError('interaction_required', 'session_pending')
    if (typeof sub !== 'string' || typeof jti !== 'string' || !JTI.test(jti)) throw refused('session_token_malformed')
    return {
      sessionId,
      userId: sub,
      issuer: String(iss),
      azp,
      use: async () => {
        const isFirst = await this.#options.singleUse.claim('session_token', jti, REMEMBERED)
        if (!isFirst) throw refused('session_token_used')
      },
    }
  }

  #checkPurpose(category: unknown, { aud, sid }: Claims, sessionId: string): void {
    const { audience } = this.#options
    if (audience === undefined) {
      if (category !== CATEGORY_SESSION || aud !== undefined) throw refused('not_a_session_token')
      if (sid !== sessionId) throw refused('session_mismatch')
      return
    }
    if (category !== CATEGORY_TEMPLATE || aud !== audience) throw refused('wrong_audience')
    if (sid !== undefined && sid !== sessionId) throw refused('session_mismatch')
  }

  #checkAge({ iat, exp, nbf = 0 }: Claims): void {
    const now = this.#options.clock.now()
    if (typeof iat !== 'number' || typeof exp !== 'number' || typeof nbf !== 'number') {
      throw refused('session_token_malformed')
    }
    if (Math.max(iat, nbf) > now + CLOCK_TOLERANCE) throw new OutdatedError('session_token_early', now)
    if (now - iat > MAX_AGE || now > exp + CLOCK_TOLERANCE) throw new OutdatedError('session_token_outdated', now)
  }
}

const JTI = /^[\w-]{1,64}$/

const refused = (reason: string) => new BrokerError('invalid_grant', reason)

function readHeader(token: string) {
  try {
    const { typ, cat, kid } = decodeProtectedHeader(token)
    if (typ === 'JWT' && typeof kid === 'string' && kid.length <= 128) return { category: cat, keyId: kid }
  } catch {
    // refused below
  }
  throw refused('session_token_malformed')
}

async function verifySignature(token: string, key: JsonWebKey | string): Promise<Claims> {
  try {
    return { ...(await verifyJwt(token, { key, clockSkewInMs: ANY_TIME })) }
  } catch (error) {
    if (error instanceof TokenVerificationError) throw refused('session_token_invalid')
    throw error
  }
}
