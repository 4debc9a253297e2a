// Imports a key for AES-GCM once, for those who use it thousands of times in a second.
import { webcrypto } from 'node:crypto'

/** @param secret 16, 24 or 32 bytes */
export async function importAesKey(secret: Uint8Array): Promise<webcrypto.CryptoKey> {
  return await webcrypto.subtle.importKey('raw', secret, 'AES-GCM', false, ['encrypt', 'decrypt'])
}
