// The keys of DPoP proofs, imported once: to import a key costs as much as to verify a signature by it.
import { type CryptoKey, calculateJwkThumbprint, EmbeddedJWK, type JWSHeaderParameters } from 'jose'

export interface ProofKey {
  readonly key: CryptoKey
  /** The thumbprint (RFC 7638). */
  readonly jkt: string
}

const MAX_KEYS = 4096 // about 16 MB; beyond that, the key that was used longest ago is imported again

export class ProofKeys {
  readonly #keys = new Map<string, ProofKey>()

  /** The key in the header of a proof. @throws an error of the library if there is none, or it is not a public key */
  async find(header: JWSHeaderParameters): Promise<ProofKey> {
    const known = this.#keys.get(idOf(header))
    if (known) return known
    const key = await EmbeddedJWK(header as Parameters<typeof EmbeddedJWK>[0])
    return { key, jkt: await calculateJwkThumbprint(header.jwk ?? {}) }
  }

  /** Keeps the key of a request that is believed: others must not fill the memory. */
  keep(header: JWSHeaderParameters, key: ProofKey): void {
    const id = idOf(header)
    this.#keys.delete(id) // then insert again: a Map iterates in insertion order, here the order of last use
    this.#keys.set(id, key)
    const [oldest] = this.#keys.size > MAX_KEYS ? this.#keys.keys() : []
    if (oldest !== undefined) this.#keys.delete(oldest)
  }
}

/** Every member counts: a header with one more, such as a private key, is another one. */
function idOf({ alg, jwk }: JWSHeaderParameters): string {
  return JSON.stringify([alg, jwk])
}
