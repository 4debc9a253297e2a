// Reads the public key of a Clerk instance as operators paste it: quoted, with written-out \n, or on one line.
import { createPublicKey } from 'node:crypto'

const BLOCK = /-----BEGIN PUBLIC KEY-----(.+)-----END PUBLIC KEY-----/s
const MIN_BITS = 2048

/** The key as PEM with its line breaks; undefined if the text has no RSA key of 2048 bits or more. */
export function parsePublicKey(text: string): string | undefined {
  const [, body = ''] = BLOCK.exec(text.replaceAll(/\\[nr]/g, '\n')) ?? []
  const base64 = body.replaceAll(/\s/g, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined
  try {
    const key = createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' })
    const { modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
    if (key.asymmetricKeyType !== 'rsa' || modulusLength < MIN_BITS) return undefined
    return String(key.export({ type: 'spki', format: 'pem' }))
  } catch {
    return undefined
  }
}
