// A CommonJS script that is run from its text: its exports, its require, and a code cache that does not fit.
import { Module } from 'node:module'
import { Script } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { runScript } from '../../src/bootstrap/run-script.ts'

const path = '/nowhere/program.cjs'
const noModules = (name: string) => {
  throw new Error(`${name} is not expected`)
}

describe('runScript', () => {
  it('returns the exports of the script, whose only require is the given function', () => {
    const text = "module.exports = { sum: require('one') + require('two'), __filename, __dirname }"
    const numbers: Record<string, number> = { one: 1, two: 2 }
    expect(runScript({ path, text, cache: undefined }, (name) => numbers[name])).toEqual({
      sum: 3,
      __filename: path,
      __dirname: '/nowhere',
    })
  })

  it.each([
    ['a cache of another script', () => new Script(Module.wrap('exports.answer = 41')).createCachedData()],
    ['a cache that is damaged', () => Buffer.from('not a code cache')],
  ])('compiles the script in spite of %s', (_name, cache) => {
    const text = 'exports.answer = 6 * 7 // longer than the other one'
    expect(runScript({ path, text, cache: cache() }, noModules)).toEqual({ answer: 42 })
  })
})
