// Releases for tests: signed by a key of their own, with small programs.
import { createHash, generateKeyPairSync } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { signUpdate } from '../../scripts/package/update.ts'
import type { ProgramName } from '../../src/update/manifest.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')

/** The key of the tests, which no build has. */
export const testKey = privateKey
export const testPublicKey = publicKey.export({ type: 'spki', format: 'pem' }).toString()

export const sha256 = (content: Uint8Array) => createHash('sha256').update(content).digest('hex')

export const DAY = 86_400
/** When the commits of the tests' releases were made. */
export const SEQUENCE = 1_800_000_000

export interface Fields extends Record<string, unknown> {
  readonly files?: readonly unknown[]
}

/** A manifest that is right for 1.0.0 on linux-x64, with other fields in place of some. */
export function manifestValue(fields: Fields = {}): Record<string, unknown> {
  return {
    format: 1,
    product: 'cadzero-auth',
    version: '1.1.0',
    sequence: SEQUENCE,
    expiresAt: new Date((SEQUENCE + 180 * DAY) * 1000).toISOString(),
    updatesFrom: '1.0.0',
    minimumSystem: { windows: '10.0.17763', darwin: '22.6', glibc: '2.28' },
    files: [releaseFile('linux-x64', 'cadzero-auth', Buffer.from('new')).file],
    ...fields,
  }
}

/** A program of a release, and the bytes of its file. */
export function releaseFile(target: string, name: ProgramName, content: Uint8Array) {
  const bytes = gzipSync(content)
  const program = { target, name, size: content.length, sha256: sha256(content) }
  return {
    bytes,
    file: { name: `${name}-${target}.gz`, size: bytes.length, sha256: sha256(bytes), program },
  }
}

/** The bytes of update.json, and its signature. */
export function signed(value: unknown, key = testKey): { readonly bytes: Buffer; readonly signature: string } {
  const text = typeof value === 'string' ? value : `${JSON.stringify(value)}\n`
  return { bytes: Buffer.from(text), signature: signUpdate(text, key) }
}
