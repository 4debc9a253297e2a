// The broker's refresh token: a sealed grant. Each refresh issues a new one; together they are a chain with an absolute end.
import type { Clock } from '../host/clock.ts'
import { BrokerError, OutdatedError } from './errors.ts'
import type { SealedClaims, Sealer } from './sealed.ts'

/** A session, and the user and the Clerk instance to which it belongs. */
export interface SessionReference {
  readonly sessionId: string
  readonly userId: string
  /** The Clerk instance, by its Frontend API URL. */
  readonly issuer: string
}

/** What a refresh token stands for. All times are Unix times in seconds. */
export interface Grant extends SessionReference {
  /** The thumbprint (RFC 7638) of the key that the token is bound to; null for a bearer token. */
  readonly jkt: string | null
  /** The start of the chain: the first exchange. */
  readonly startedAt: number
  /** The end of the session as Clerk last stated it. From then on each refresh asks Clerk whether it has ended. */
  readonly sessionExpiresAt: number
  /** When Clerk was last asked about the session. */
  readonly sessionCheckedAt: number
  /** When the token that was presented ends; undefined for a new grant. */
  readonly expiresAt?: number
}

export interface RefreshTokenLimits {
  /** Seconds without use after which a token is outdated. */
  readonly idleSeconds: number
  /** Seconds from the first exchange to the end of the chain. */
  readonly chainSeconds: number
}

const TYPE = 'cadzero-refresh+jwt'

export class RefreshTokens {
  readonly #sealer: Sealer
  readonly #limits: RefreshTokenLimits
  readonly #clock: Clock

  constructor(sealer: Sealer, limits: RefreshTokenLimits, clock: Clock) {
    this.#sealer = sealer
    this.#limits = limits
    this.#clock = clock
  }

  /** The absolute end of a chain, in Unix seconds. */
  chainEndOf({ startedAt }: Pick<Grant, 'startedAt'>): number {
    return startedAt + this.#limits.chainSeconds
  }

  /** @param earliestEnd a time before which the token does not end, unless its chain does */
  async issue(grant: Grant, earliestEnd = 0): Promise<string> {
    const { sessionId, userId, issuer, jkt, startedAt, sessionExpiresAt, sessionCheckedAt } = grant
    const claims = {
      iss: issuer,
      sub: userId,
      sid: sessionId,
      auth_time: Math.floor(startedAt),
      session_exp: Math.floor(sessionExpiresAt),
      session_checked: Math.floor(sessionCheckedAt),
      ...(jkt === null ? {} : { cnf: { jkt } }),
    }
    const idleEnd = this.#clock.now() + this.#limits.idleSeconds
    return await this.#sealer.seal(TYPE, claims, Math.min(Math.max(idleEnd, earliestEnd), this.chainEndOf(grant)))
  }

  /**
   * @param options.allowExpired accept an outdated token: enough to end its session
   * @throws BrokerError unknown_key; invalid_grant if the token is altered, outdated, or not from this broker
   */
  async open(token: string, { allowExpired = false } = {}): Promise<Grant> {
    const claims = await this.#sealer.open(TYPE, token, { requiredClaims: [], allowExpired })
    const grant = grantOf(claims)
    const now = this.#clock.now()
    if (!allowExpired && now >= this.chainEndOf(grant)) throw new OutdatedError('chain_ended', now)
    return grant
  }
}

/** A token of version 1.0 has neither `cnf` nor the other times: its chain starts with it. */
function grantOf({ iss, sub, sid, iat, exp, cnf, auth_time, session_exp, session_checked }: SealedClaims): Grant {
  return {
    sessionId: sid,
    userId: sub,
    issuer: iss,
    jkt: thumbprintOf(cnf),
    startedAt: Number(auth_time ?? iat),
    sessionExpiresAt: Number(session_exp ?? exp),
    sessionCheckedAt: Number(session_checked ?? 0),
    expiresAt: Number(exp),
  }
}

function thumbprintOf(cnf: unknown): string | null {
  if (cnf === undefined) return null
  const jkt = typeof cnf === 'object' && cnf !== null && 'jkt' in cnf ? cnf.jkt : undefined
  if (typeof jkt !== 'string') throw new BrokerError('invalid_grant', 'sealed_invalid')
  return jkt
}
