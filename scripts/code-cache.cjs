// Writes V8's code cache of a program: code-cache.cjs PROGRAM CACHE. It runs the program once, so the cache has what a start compiles.
const { readFileSync, writeFileSync } = require('node:fs')
const { createRequire, Module } = require('node:module')
const { dirname, resolve } = require('node:path')
const { setFlagsFromString } = require('node:v8')
const { Script } = require('node:vm')

const [program, cache] = process.argv.slice(2).map((path) => resolve(path))
const script = new Script(Module.wrap(readFileSync(program, 'utf8')), {
  filename: 'program.cjs', // no full path: the name stays in the cache, which must not reveal the build machine
})
process.argv = [process.execPath, program, '--version'] // runs the code that every start runs
const main = { exports: {} }
script.runInThisContext()(main.exports, createRequire(program), main, program, dirname(program))
process.once('exit', () => {
  // A build that wants the same bytes each time starts Node with these. V8 accepts a cache only with the flags that it was made with.
  for (const flag of ['--hash-seed=0', '--flush-bytecode', '--no-predictable']) setFlagsFromString(flag)
  writeFileSync(cache, script.createCachedData())
})
