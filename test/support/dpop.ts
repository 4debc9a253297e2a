// Makes DPoP proofs (RFC 9449) as a client does, and the wrong ones that a test needs.
import { randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWTHeaderParameters, SignJWT } from 'jose'

export interface ProofOptions {
  /** Override the right claims; undefined removes one. */
  readonly claims?: Readonly<Record<string, unknown>>
  readonly header?: Readonly<Record<string, unknown>>
  /** Unix time in seconds. */
  readonly now?: number
}

export interface DpopKey {
  readonly jkt: string
  proof(url: string, options?: ProofOptions): Promise<string>
}

export async function newDpopKey(alg: 'ES256' | 'ES384' | 'RS256' = 'ES256'): Promise<DpopKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg)
  const jwk = await exportJWK(publicKey)
  return {
    jkt: await calculateJwkThumbprint(jwk),
    async proof(url, { claims = {}, header = {}, now = Date.now() / 1000 } = {}) {
      const payload = { jti: randomUUID(), htm: 'POST', htu: url, iat: Math.floor(now), ...claims }
      const protectedHeader = { alg, typ: 'dpop+jwt', jwk, ...header } as JWTHeaderParameters
      return await new SignJWT(payload).setProtectedHeader(protectedHeader).sign(privateKey)
    },
  }
}
