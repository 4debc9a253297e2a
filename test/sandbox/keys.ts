// The keys that the provider signs with. They are made at run time, so that none lies in the repository.
import { createPublicKey, generateKeyPair, type KeyObject, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { JWK } from 'oidc-provider'

export interface SigningKey {
  /** As the provider takes it, with its private part. */
  readonly jwk: JWK
  readonly publicKey: KeyObject
}

export async function newSigningKey(): Promise<SigningKey> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  const kid = `ins_2${randomBytes(8).toString('hex')}`
  const jwk = { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' } as JWK
  return { jwk, publicKey: createPublicKey(privateKey) }
}

/** The key that every sandbox of a process starts with: one takes up to half a second, and is made while the rest loads. */
export const sharedKey: Promise<SigningKey> = newSigningKey()
