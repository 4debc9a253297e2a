// The store key: 32 random bytes as a JWK (RFC 7517), kept in the keyring, in a private file, or under a passphrase.
import { CompactEncrypt, compactDecrypt } from 'jose'
import * as v from 'valibot'
import { type FileSystem, readPrivateFile, writePrivateFile } from '../host/files.ts'
import { type Random, randomText } from '../host/random.ts'
import { StoreError, storeErrorOf } from './errors.ts'
import type { Keyring } from './keyring.ts'

export interface StoreKey {
  readonly id: string
  readonly secret: Uint8Array
}

export type KeyProtection = 'keyring' | 'keyfile' | 'passphrase'

/** One place that can hold the store key. Both methods throw StoreError and nothing else. */
export interface KeyProvider {
  readonly protection: KeyProtection
  /** The key, or undefined if none was made yet. */
  read(): Promise<StoreKey | undefined>
  /** Makes a new key and saves it. */
  create(): Promise<StoreKey>
}

const jwkSchema = v.object({
  kty: v.literal('oct'),
  kid: v.pipe(v.string(), v.minLength(1)),
  k: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/)),
})

type Jwk = v.InferOutput<typeof jwkSchema>

function newJwk(random: Random): Jwk & { alg: string; use: string } {
  return { kty: 'oct', kid: randomText(random, 8), alg: 'A256GCM', use: 'enc', k: randomText(random, 32) }
}

function keyOf(jwk: Jwk): StoreKey {
  return { id: jwk.kid, secret: Buffer.from(jwk.k, 'base64url') }
}

function parseKey(text: string): StoreKey {
  try {
    return keyOf(v.parse(jwkSchema, JSON.parse(text)))
  } catch {
    throw new StoreError('unreadable') // without its cause, which would quote the key
  }
}

export function keyringProvider(keyring: Keyring, random: Random): KeyProvider {
  return {
    protection: 'keyring',
    async read() {
      const text = await keyring.get()
      return text === undefined ? undefined : parseKey(text)
    },
    async create() {
      const jwk = newJwk(random)
      await keyring.set(JSON.stringify(jwk))
      return keyOf(jwk)
    },
  }
}

const KEY_FILE_BYTES = 16 * 1024

/** @param path of `store-key.jwk` */
export function keyfileProvider(files: FileSystem, path: string, random: Random): KeyProvider {
  return {
    protection: 'keyfile',
    async read() {
      const text = await readKeyFile(files, path)
      return text === undefined ? undefined : parseKey(text)
    },
    async create() {
      const jwk = newJwk(random)
      await writeKeyFile(files, path, JSON.stringify(jwk))
      return keyOf(jwk)
    },
  }
}

const PBES2 = 'PBES2-HS512+A256KW'
const PBKDF2_ROUNDS = 210_000 // OWASP's count for PBKDF2 with HMAC-SHA-512

/**
 * The key wrapped under a passphrase (RFC 7518 section 4.8): the slow derivation runs once a start, not at each write.
 * @param path of `store-key.jwe`
 */
export function passphraseProvider(
  files: FileSystem,
  path: string,
  random: Random,
  passphrase: string | undefined,
): KeyProvider {
  const password = () => {
    if (!passphrase) throw new StoreError('wrong_passphrase')
    return new TextEncoder().encode(passphrase)
  }
  return {
    protection: 'passphrase',
    async read() {
      const envelope = await readKeyFile(files, path)
      if (envelope === undefined) return undefined
      try {
        const { plaintext } = await compactDecrypt(envelope, password(), {
          keyManagementAlgorithms: [PBES2],
          contentEncryptionAlgorithms: ['A256GCM'],
          maxPBES2Count: PBKDF2_ROUNDS,
        })
        return parseKey(new TextDecoder().decode(plaintext))
      } catch {
        throw new StoreError('wrong_passphrase')
      }
    },
    async create() {
      const jwk = newJwk(random)
      const envelope = await new CompactEncrypt(new TextEncoder().encode(JSON.stringify(jwk)))
        .setProtectedHeader({ alg: PBES2, enc: 'A256GCM', cty: 'jwk+json' })
        .setKeyManagementParameters({ p2c: PBKDF2_ROUNDS, p2s: random(16) })
        .encrypt(password())
      await writeKeyFile(files, path, envelope)
      return keyOf(jwk)
    },
  }
}

async function readKeyFile(files: FileSystem, path: string): Promise<string | undefined> {
  try {
    return (await readPrivateFile(files, path, KEY_FILE_BYTES))?.toString('utf8')
  } catch (error) {
    throw storeErrorOf(error)
  }
}

async function writeKeyFile(files: FileSystem, path: string, text: string): Promise<void> {
  try {
    await writePrivateFile(files, path, text)
  } catch (error) {
    throw storeErrorOf(error)
  }
}
