// DPoP (RFC 9449): checks that a request was signed, just now and for this address, by the key that its tokens are bound to.
//
// A proof needs no nonce if its `iat` is within a minute of the broker's clock. A client with a wrong clock is asked for one:
// the nonce holds the broker's time, so that nothing is stored and every copy with the same keys accepts it.
import { createHash, createHmac } from 'node:crypto'
import { errors, type JWTHeaderParameters, type JWTPayload, jwtVerify } from 'jose'
import type { Clock } from '../host/clock.ts'
import { COPIES_DIFFER } from './clerk-time.ts'
import { BrokerError } from './errors.ts'
import { type ProofKey, ProofKeys } from './proof-keys.ts'
import type { SingleUse } from './single-use.ts'

export interface Proof {
  /** The thumbprint (RFC 7638) of the key that signed. */
  readonly jkt: string
  /** Whether the proof has a nonce: then the answer brings the next one. */
  readonly hasNonce: boolean
  /**
   * Called when the rest of the request is believed, so that unproven requests fill no store.
   * @throws BrokerError invalid_dpop_proof if the proof was used before; temporarily_unavailable if that is unknown
   */
  use(): Promise<void>
}

export interface DpopOptions {
  /** The URL at which clients reach the broker, without a trailing slash. */
  readonly publicUrl: string
  /** The broker's own keys: the first makes nonces, all of them check. */
  readonly keys: readonly Uint8Array[]
  readonly singleUse: SingleUse
  readonly clock: Clock
}

interface VerifiedProof {
  readonly payload: JWTPayload
  readonly jkt: string
  /** A stranger signs with as many keys as there are places, and must not push out those of the users. */
  keepKey(): void
}

const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/
const MAX_LENGTH = 4 * 1024
const MAX_JTI_LENGTH = 256
const WINDOW = 60 // s, in both directions: as long as a proof is remembered
const NONCE_SLOT = 150 // s; a nonce of the current slot and of its neighbours is accepted

export class DpopVerifier {
  readonly #options: DpopOptions
  readonly #keys = new ProofKeys()

  constructor(options: DpopOptions) {
    this.#options = options
  }

  /**
   * @param header the value of the header `DPoP`; null without one
   * @param path of the endpoint, below the public URL
   * @throws BrokerError invalid_dpop_proof, use_dpop_nonce
   */
  async verify(header: string | null, path: string): Promise<Proof> {
    if (header === null) throw refused('dpop_missing')
    if (header.length > MAX_LENGTH || !COMPACT_JWS.test(header)) throw refused('dpop_malformed')
    const { payload, jkt, keepKey } = await this.#verifySignature(header)
    const { jti, htm, htu } = payload
    if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_LENGTH) throw refused('dpop_malformed')
    if (htm !== 'POST') throw refused('dpop_htm')
    const url = `${this.#options.publicUrl}${path}`
    if (htu !== url && normalizedUrl(htu) !== normalizedUrl(url)) throw refused('dpop_htu')
    const validSeconds = this.#validSecondsOf(payload)
    const id = createHash('sha256').update(`${jkt}\n${jti}`).digest('base64url')
    return {
      jkt,
      hasNonce: payload.nonce !== undefined,
      use: async () => {
        keepKey()
        if (!(await this.#options.singleUse.claim('proof', id, validSeconds))) throw refused('dpop_replayed')
      },
    }
  }

  /** The current nonce. */
  nonce(): string {
    const { keys, clock } = this.#options
    return nonceOf(keys[0] ?? new Uint8Array(), slotOf(clock.now()))
  }

  async #verifySignature(header: string): Promise<VerifiedProof> {
    let used: ProofKey | undefined
    try {
      const keyOf = async (protectedHeader: JWTHeaderParameters) => {
        used = await this.#keys.find(protectedHeader)
        return used.key
      }
      const { payload, protectedHeader } = await jwtVerify(header, keyOf, {
        typ: 'dpop+jwt',
        algorithms: ['ES256'],
        currentDate: new Date(this.#options.clock.now() * 1000),
      })
      if (used === undefined) throw refused('dpop_malformed')
      const key = used
      return { payload, jkt: key.jkt, keepKey: () => this.#keys.keep(protectedHeader, key) }
    } catch (error) {
      throw refused(error instanceof errors.JWSSignatureVerificationFailed ? 'dpop_signature' : 'dpop_malformed')
    }
  }

  /** For how long the proof could be used again, at this copy or another one. */
  #validSecondsOf({ iat, nonce }: JWTPayload): number {
    if (typeof iat !== 'number') throw refused('dpop_malformed')
    const { clock } = this.#options
    if (nonce !== undefined) {
      if (!this.#isCurrent(nonce)) throw new BrokerError('use_dpop_nonce', 'dpop_nonce')
      return 3 * NONCE_SLOT + COPIES_DIFFER
    }
    const age = clock.now() - iat
    if (Math.abs(age) > WINDOW) throw new BrokerError('use_dpop_nonce', 'dpop_clock')
    return WINDOW - age + 1 + COPIES_DIFFER
  }

  #isCurrent(nonce: unknown): boolean {
    const { keys, clock } = this.#options
    const slot = slotOf(clock.now())
    return keys.some((key) => [slot, slot - 1, slot + 1].some((one) => nonceOf(key, one) === nonce))
  }
}

const refused = (reason: string) => new BrokerError('invalid_dpop_proof', reason)

const slotOf = (now: number) => Math.floor(now / NONCE_SLOT)

function nonceOf(key: Uint8Array, slot: number): string {
  return createHmac('sha256', key).update(`dpop-nonce\n${slot}`).digest('base64url')
}

/** RFC 9449 section 4.3: compared without query and fragment, after normalization. */
function normalizedUrl(text: unknown): string | undefined {
  if (typeof text !== 'string' || !URL.canParse(text)) return undefined
  const { origin, pathname } = new URL(text)
  return `${origin}${pathname}`
}
