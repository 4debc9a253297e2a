// Writes V8's code caches of a built program, for finish-code-cache.cjs: code-cache.cjs DIST OUT. It runs a daemon and `header`: the caches
// have what both compile.
const { readFileSync, writeFileSync } = require('node:fs')
const { createRequire, Module } = require('node:module')
const { join, resolve } = require('node:path')
const { setFlagsFromString } = require('node:v8')
const { Script } = require('node:vm')

const LONGEST_TIMER = 2 ** 31 - 1 // ms; setTimeout fires at once for a longer time

const [dist, out] = process.argv.slice(2).map((path) => resolve(path))
const scripts = []

// A timer that only a slow computer reaches would decide what is compiled: all of them come after the end.
const { setTimeout: startTimer } = globalThis
globalThis.setTimeout = (action, milliseconds, ...values) =>
  startTimer(action, Math.min(milliseconds * 1000, LONGEST_TIMER), ...values)

process.stdout.write = (text) => {
  if (text.startsWith('ready ')) run('header')
  // The daemon ends, and then this process. A signal that it sends to itself would end it at once on Windows.
  else if (text.startsWith('Authorization: ')) process.emit('SIGTERM', 'SIGTERM')
  return true
}
run('program', 'daemon')
process.once('exit', () => {
  process.umask(0o022) // the daemon has set another one; every user of an installation reads the caches
  // A build that wants the same bytes each time starts Node with these. V8 accepts a cache only with the flags that it was made with.
  for (const flag of ['--hash-seed=0', '--flush-bytecode', '--no-predictable']) setFlagsFromString(flag)
  for (const { name, script } of scripts) writeFileSync(join(out, `${name}.cache`), script.createCachedData())
})

function run(name, ...args) {
  const path = join(dist, `${name}.cjs`)
  const script = new Script(Module.wrap(readFileSync(path, 'utf8')), {
    filename: `${name}.cjs`, // no full path: the name stays in the cache, which must not reveal the build machine
  })
  scripts.push({ name, script })
  process.argv = [process.execPath, path, ...args]
  const main = { exports: {} }
  script.runInThisContext()(main.exports, createRequire(path), main, path, dist)
}
