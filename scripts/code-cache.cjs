// Writes V8's code cache of the program that its argument names, with what a run of it has compiled.
const { readFileSync, writeFileSync } = require('node:fs')
const { createRequire, Module } = require('node:module')
const { dirname, resolve } = require('node:path')
const { Script } = require('node:vm')

const [program, cache] = process.argv.slice(2).map((path) => resolve(path))
const script = new Script(Module.wrap(readFileSync(program, 'utf8')), {
  filename: 'program.cjs', // it stays in the cache, and where it was built is nobody's business
})
process.argv = [process.execPath, program, '--version'] // goes through everything that each start goes through
const own = { exports: {} }
script.runInThisContext()(own.exports, createRequire(program), own, program, dirname(program))
process.once('exit', () => writeFileSync(cache, script.createCachedData()))
