// A CommonJS script that is run from its text: its exports, its require, and a code cache that does not fit.
import { createHash } from 'node:crypto'
import { Module } from 'node:module'
import { Script } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { runScript } from '../../src/bootstrap/run-script.ts'

const path = '/nowhere/program.cjs'
const noModules = (name: string) => {
  throw new Error(`${name} is not expected`)
}

const codeOf = (text: string) => new Script(Module.wrap(text)).createCachedData()

/** As the build writes it. */
function cacheFile(text: string, code: Buffer): Buffer {
  return Buffer.concat([createHash('sha256').update(text).update(code).digest(), code])
}

describe('runScript', () => {
  it('returns the exports of the script, whose only require is the given function', () => {
    const text = "module.exports = { sum: require('one') + require('two'), __filename, __dirname }"
    const numbers: Record<string, number> = { one: 1, two: 2 }
    expect(runScript({ path, text: Buffer.from(text) }, (name) => numbers[name])).toEqual({
      sum: 3,
      __filename: path,
      __dirname: '/nowhere',
    })
  })

  // The code in these caches is that of another script of the same length: the answer shows which of both has run. V8 keeps
  // compiled scripts in memory, so that each case has a script of its own.
  const OTHER = 'exports.answer = 41'
  const scriptOf = (name: string) => `exports.answer = 42 // ${name}`
  const cacheOf = (name: string) => cacheFile(scriptOf(name), codeOf(`${OTHER} // ${name}`))

  it('runs the code of an intact cache', () => {
    const text = Buffer.from(scriptOf('intact'))
    expect(runScript({ path, text, cache: cacheOf('intact') }, noModules)).toEqual({ answer: 41 })
  })

  it.each<[string, (name: string) => Buffer]>([
    ['of another script', () => cacheFile(OTHER, codeOf(OTHER))],
    ['of another version', (name) => cacheFile(`${OTHER} // ${name}`, codeOf(`${OTHER} // ${name}`))],
    ['without a digest', (name) => codeOf(`${OTHER} // ${name}`)],
    ['with another digest', (name) => changed(cacheOf(name), 31)],
    ['with another header', (name) => changed(cacheOf(name), 32)],
    ['with other code', (name) => changed(cacheOf(name), 400)],
    ['with another end', (name) => changed(cacheOf(name), -1)],
    ['that is empty', () => Buffer.alloc(0)],
    ['cut in its digest', (name) => cacheOf(name).subarray(0, 31)],
    ['cut in its code', (name) => cacheOf(name).subarray(0, 400)],
    ['that is too long', (name) => Buffer.concat([cacheOf(name), Buffer.from('x')])],
    ['that V8 rejects', (name) => cacheFile(scriptOf(name), Buffer.from('not a code cache'))],
  ])('compiles the script in spite of a cache %s', (name, cache) => {
    const text = Buffer.from(scriptOf(name))
    expect(runScript({ path, text, cache: cache(name) }, noModules)).toEqual({ answer: 42 })
  })
})

function changed(file: Buffer, at: number): Buffer {
  const copy = Buffer.from(file)
  copy.writeUInt8((copy.at(at) ?? 0) ^ 1, at < 0 ? copy.length + at : at)
  return copy
}
