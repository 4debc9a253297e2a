// The discovery file: the daemon's endpoint, and the key with which client and daemon prove themselves.
import * as v from 'valibot'
import { type FileSystem, readPrivateFile, removePrivateFile, writePrivateFile } from '../host/files.ts'

const base64url = (bytes: number) =>
  v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]+$/), v.length(Math.ceil((bytes * 4) / 3)))

const endpointSchema = v.object({
  version: v.literal(1),
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  endpoint: v.pipe(v.string(), v.regex(/^127\.0\.0\.1:[1-9][0-9]{0,4}$/)),
  path: v.pipe(v.string(), v.regex(/^\/[A-Za-z0-9/_-]*$/)),
  instance: base64url(16),
  key: base64url(32),
  startedAt: v.string(),
  daemonVersion: v.string(),
  /** The name of the computer that the daemon runs on. */
  host: v.optional(v.string()),
  /** Changes with each start of that computer; null if it is not known. */
  bootId: v.optional(v.nullable(v.string())),
  /** The path of the program that runs: there may be several on a computer. */
  program: v.optional(v.string()),
})

/** The content of the discovery file. `key` is a secret. */
export type Endpoint = v.InferOutput<typeof endpointSchema>

const MAX_FILE_BYTES = 16 * 1024

/**
 * Reads the discovery file. Undefined if it is absent or invalid (another version, a truncated copy): for a client
 * both mean that no daemon can be reached.
 * @throws FileError if other users may access the file; a system error
 */
export async function readEndpoint(files: FileSystem, path: string): Promise<Endpoint | undefined> {
  const text = (await readPrivateFile(files, path, MAX_FILE_BYTES))?.toString('utf8')
  if (text === undefined) return undefined
  try {
    return v.parse(endpointSchema, JSON.parse(text))
  } catch {
    return undefined
  }
}

/** @throws a system error */
export async function writeEndpoint(files: FileSystem, path: string, endpoint: Endpoint): Promise<void> {
  await writePrivateFile(files, path, `${JSON.stringify(endpoint, null, 2)}\n`, false)
}

/** Removes the discovery file if it is still the one of this instance. @throws a system error */
export async function removeEndpoint(files: FileSystem, path: string, instance: string): Promise<void> {
  if ((await readEndpoint(files, path))?.instance === instance) await removePrivateFile(files, path)
}
