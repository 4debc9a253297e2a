// Numbers the functions of code caches anew: renumber-code-cache.cjs DIST CACHE… V8 numbers functions as it creates them, which in a
// run follows the order in which files and sockets respond. A process that only reads the cache creates them in the order of the source.
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
  const source = Module.wrap(readFileSync(join(dist, filename), 'utf8'))
  const script = new Script(source, { filename, cachedData: readFileSync(path) })
  if (script.cachedDataRejected) throw new Error(`V8 rejects ${path}`)
  writeFileSync(path, script.createCachedData())
}
