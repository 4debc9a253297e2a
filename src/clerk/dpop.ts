// DPoP (RFC 9449): the key of a session, and the proofs that show the broker that a request comes from its holder.
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose'
import type { Session } from '../store/session.ts'

/** The private key of a session, as a JWK. It is kept in the encrypted session file, and never leaves the daemon. */
export type ProofKey = NonNullable<Session['proofKey']>

export interface ProofContent {
  readonly method: 'POST'
  /** The address of the request. Its query and fragment are left out (RFC 9449 section 4.2). */
  readonly url: string
  /** What the server has asked for last; undefined if it has not asked. */
  readonly nonce: string | undefined
  /** Unix seconds. */
  readonly now: number
  /** Unique for each proof. */
  readonly id: string
}

const ALGORITHM = 'ES256'

/** A new P-256 key. */
export async function newProofKey(): Promise<ProofKey> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true })
  const { x, y, d } = await exportJWK(privateKey)
  return { kty: 'EC', crv: 'P-256', x: String(x), y: String(y), d: String(d) }
}

/** The value of the header `DPoP` for one request. */
export async function newProof(key: ProofKey, { method, url, nonce, now, id }: ProofContent): Promise<string> {
  const { d: _, ...publicKey } = key
  const { origin, pathname } = new URL(url)
  return await new SignJWT({ htm: method, htu: `${origin}${pathname}`, ...(nonce === undefined ? {} : { nonce }) })
    .setProtectedHeader({ alg: ALGORITHM, typ: 'dpop+jwt', jwk: publicKey })
    .setIssuedAt(Math.floor(now))
    .setJti(id)
    .sign(await importJWK(key, ALGORITHM))
}

/** The nonce of a response, or undefined if there is none that a header could carry (RFC 9449 section 8.1). */
export function nonceOf(headers: Headers): string | undefined {
  const nonce = headers.get('dpop-nonce')
  return nonce !== null && /^[\x21\x23-\x5b\x5d-\x7e]{1,1024}$/.test(nonce) ? nonce : undefined
}
