// `update.json`: what the newest release is, signed with Ed25519 over its exact bytes.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { ProgramName } from '../../src/update/manifest.ts'
import type { Published } from './manifests.ts'

/** A program of a target, before it is compressed. */
export interface UpdateProgram {
  readonly target: string
  readonly name: ProgramName
  readonly size: number
  readonly sha256: string
}

export interface UpdateFile extends Published {
  readonly size: number
  readonly program?: UpdateProgram
}

export interface Update {
  readonly version: string
  /** The time of the commit in Unix seconds: a release is newer than all with a smaller number. */
  readonly sequence: number
  readonly files: readonly UpdateFile[]
}

/** A reader that sees nothing newer for so long may be shown an old file on purpose. */
export const VALID_SECONDS = 180 * 86_400

/** What the executables need, as docs/install.md says. The kernel of macOS 13.5 is Darwin 22.6. */
const MINIMUM_SYSTEM = { windows: '10.0.17763', darwin: '22.6', glibc: '2.28' }

/** Raise it if a session file of an older version is no longer read, see docs/update.md. */
const UPDATES_FROM = '1.0.0'

/** @returns the text of update.json */
export function updateText({ version, sequence, files }: Update): string {
  const expiresAt = `${new Date((sequence + VALID_SECONDS) * 1000).toISOString().slice(0, -5)}Z`
  const rules = { expiresAt, updatesFrom: UPDATES_FROM, minimumSystem: MINIMUM_SYSTEM }
  return `${JSON.stringify({ format: 1, product: 'cadzero-auth', version, sequence, ...rules, files }, null, 2)}\n`
}

/** @returns the signature in Base64 */
export function signUpdate(text: string, key: KeyObject): string {
  return `${sign(null, Buffer.from(text), key).toString('base64')}\n`
}

/** @param signature in Base64 */
export function isSigned(text: string, signature: string, key: KeyObject): boolean {
  return verify(null, Buffer.from(text), key, Buffer.from(signature, 'base64'))
}

/** @param path a PEM file with an Ed25519 private key @throws an error if it is another kind of key */
export async function readSigningKey(path: string): Promise<KeyObject> {
  const key = createPrivateKey(await readFile(path))
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${path} has no Ed25519 key`)
  return key
}

/** A key for a dry run, which no program trusts. */
export function temporaryKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey
}

/** The public key in PEM form. */
export function publicKeyOf(key: KeyObject): string {
  return createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString()
}
