// Numbers the functions of code caches anew, and puts a digest before each: finish-code-cache.cjs DIST CACHE… V8 numbers functions as it
// creates them, which in a run follows the order in which files and sockets respond. This process only reads a cache: in the source's order.
const { createHash } = require('node:crypto')
const { readFileSync, writeFileSync } = require('node:fs')
const { Module } = require('node:module')
const { basename, join } = require('node:path')
const { setFlagsFromString } = require('node:v8')
const { Script } = require('node:vm')

const [dist, ...caches] = process.argv.slice(2)

// Those of a usual start, with which the cache was made.
for (const flag of ['--hash-seed=0', '--flush-bytecode', '--no-predictable']) setFlagsFromString(flag)
for (const path of caches) {
  const filename = `${basename(path, '.cache')}.cjs`
  const text = readFileSync(join(dist, filename))
  const script = new Script(Module.wrap(text.toString('utf8')), { filename, cachedData: readFileSync(path) })
  if (script.cachedDataRejected) throw new Error(`V8 rejects ${path}`)
  const cache = script.createCachedData()
  const digest = createHash('sha256').update(text).update(cache).digest() // src/bootstrap/run-script.ts compares it
  writeFileSync(path, Buffer.concat([digest, cache]))
}
