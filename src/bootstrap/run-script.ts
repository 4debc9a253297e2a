// Runs a CommonJS script from its text, with V8's code cache if there is one.
import { createHash } from 'node:crypto'
import { Module } from 'node:module'
import { dirname } from 'node:path'
import { Script } from 'node:vm'

export interface ScriptFile {
  readonly path: string
  readonly text: Buffer
  /** As scripts/finish-code-cache.cjs writes it. A cache that does not fit is ignored. */
  readonly cache?: Buffer | undefined
}

/** @returns what the script exports */
export function runScript({ path, text, cache }: ScriptFile, load: (name: string) => unknown): unknown {
  const cachedData = cache === undefined ? undefined : intactCache(text, cache)
  const script = new Script(Module.wrap(text.toString('utf8')), {
    filename: path,
    ...(cachedData === undefined ? {} : { cachedData }),
  })
  const module = { exports: {} }
  script.runInThisContext()(module.exports, load, module, path, dirname(path))
  return module.exports
}

const DIGEST_BYTES = 32 // SHA-256

/**
 * V8 rejects the cache of another V8, but compares only the length of the script and checks no byte of the code: it would run the
 * code of another version whose script is as long, and crash on a damaged cache.
 * @param file a digest of the script and the cache, then the cache
 */
function intactCache(text: Buffer, file: Buffer): Buffer | undefined {
  const cache = file.subarray(DIGEST_BYTES)
  const digest = createHash('sha256').update(text).update(cache).digest()
  return digest.equals(file.subarray(0, DIGEST_BYTES)) ? cache : undefined
}
