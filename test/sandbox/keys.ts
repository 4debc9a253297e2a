// The signing keys of the provider. They are generated at run time, so that the repository contains no key.
import { createPublicKey, generateKeyPair, type KeyObject, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { JWK } from 'oidc-provider'

export interface SigningKey {
  /** The private key. */
  readonly jwk: JWK
  readonly publicKey: KeyObject
}

export async function newSigningKey(): Promise<SigningKey> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  const kid = `ins_2${randomBytes(8).toString('hex')}`
  const jwk = { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' } as JWK
  return { jwk, publicKey: createPublicKey(privateKey) }
}

/** The first key of every sandbox in a process. Generating it takes up to half a second, while other modules load. */
export const sharedKey: Promise<SigningKey> = newSigningKey()
