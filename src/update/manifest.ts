// `update.json` of a release: believed only if its exact bytes have the signature of the key that is built into this program.
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import * as v from 'valibot'

export const MANIFEST_BYTES = 256 * 1024
export const SIGNATURE_BYTES = 1024
const LARGEST_PROGRAM = 512 * 1024 * 1024
const MOST_FILES = 100
const LATEST_TIME = 253_402_300_799 // the end of the year 9999: a date for a later one has another form

const PROGRAM_NAMES = ['cadzero-auth', 'cadzero-auth.exe', 'cadzero-authd.exe'] as const
export type ProgramName = (typeof PROGRAM_NAMES)[number]

/** Releases alone: a program is never updated to a version under test. */
export const RELEASE_VERSION = /^(0|[1-9]\d{0,5})(\.(0|[1-9]\d{0,5})){2}$/

const version = v.pipe(v.string(), v.regex(RELEASE_VERSION))
const systemVersion = v.pipe(v.string(), v.regex(/^\d{1,6}(\.\d{1,6}){0,3}$/))
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
const size = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LARGEST_PROGRAM))
// It becomes a part of an address: no separator, no escape and no parent.
const fileName = v.pipe(v.string(), v.maxLength(128), v.regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/))

const manifestSchema = v.object({
  format: v.literal(1),
  product: v.literal('cadzero-auth'),
  version,
  /** The time of the commit in Unix seconds: a release is newer than all with a smaller number. */
  sequence: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LATEST_TIME)),
  expiresAt: v.pipe(
    v.string(),
    v.isoTimestamp(),
    v.transform((text) => Date.parse(text) / 1000),
    v.finite(),
  ),
  /** The oldest version whose session file this release reads, and which it may replace. */
  updatesFrom: version,
  minimumSystem: v.object({ windows: systemVersion, darwin: systemVersion, glibc: systemVersion }),
  files: v.pipe(
    v.array(
      v.object({
        name: fileName,
        size,
        sha256,
        /** Set if the file is a program, compressed by gzip. */
        program: v.optional(
          v.object({
            target: v.string(),
            name: v.picklist(PROGRAM_NAMES),
            size,
            sha256,
          }),
        ),
      }),
    ),
    v.maxLength(MOST_FILES),
  ),
})

export type Manifest = Readonly<v.InferOutput<typeof manifestSchema>>

/** A program of a release: the file to download, and what it unpacks to. Sizes are in bytes. */
export interface ReleasedProgram {
  readonly name: ProgramName
  readonly size: number
  readonly sha256: string
  readonly file: { readonly name: string; readonly size: number; readonly sha256: string }
}

export type ReadManifest =
  | { readonly kind: 'manifest'; readonly manifest: Manifest }
  | { readonly kind: 'refused'; readonly reason: 'signature' | 'format' }

/**
 * @param bytes exactly as they were received
 * @param signature in Base64
 * @param publicKey an Ed25519 key in PEM form
 * @throws an error if the key is none
 */
export function readManifest(bytes: Buffer, signature: string, publicKey: string): ReadManifest {
  if (!isSigned(bytes, signature, ed25519Key(publicKey))) return { kind: 'refused', reason: 'signature' }
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    return { kind: 'refused', reason: 'format' }
  }
  const parsed = v.safeParse(manifestSchema, value)
  return parsed.success ? { kind: 'manifest', manifest: parsed.output } : { kind: 'refused', reason: 'format' }
}

function ed25519Key(publicKey: string): KeyObject {
  const key = createPublicKey(publicKey)
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('the key for updates is no Ed25519 key')
  return key
}

function isSigned(bytes: Buffer, signature: string, key: KeyObject): boolean {
  const text = signature.trim()
  return /^[A-Za-z0-9+/]{86}==$/.test(text) && verify(null, bytes, key, Buffer.from(text, 'base64'))
}

/** The programs of a release for one target. */
export function programsFor(target: string, { files }: Manifest): readonly ReleasedProgram[] {
  return files.flatMap(({ program, ...file }) => {
    if (program?.target !== target) return []
    const { name, size, sha256 } = program
    return [{ name, size, sha256, file }]
  })
}
