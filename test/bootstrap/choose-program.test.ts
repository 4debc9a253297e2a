// What a process runs: the small program for `header`, or the whole one.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { Module } from 'node:module'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { chooseProgram } from '../../src/bootstrap/choose-program.ts'

async function filesRunBy(args: readonly string[], isPrinted: boolean): Promise<readonly string[]> {
  const files: string[] = []
  await chooseProgram(['node', 'cadzero-auth', ...args], (name) => {
    files.push(name)
    return { isPrinted: Promise.resolve(isPrinted) }
  })
  return files
}

describe('the program of a process', () => {
  it('is the small one for a header without options', async () => {
    expect(await filesRunBy(['header'], true)).toEqual(['header.cjs'])
  })

  it('is the whole one if the small one has printed no header', async () => {
    expect(await filesRunBy(['header'], false)).toEqual(['header.cjs', 'program.cjs'])
  })

  it.each([[[]], [['daemon']], [['header', '--json']], [['constructor']]])('is the whole one for %j', async (args) => {
    expect(await filesRunBy(args, true)).toEqual(['program.cjs'])
  })
})

const dist = (name: string) => fileURLToPath(new URL(`../../dist/${name}`, import.meta.url))

it.each(['program', 'header'])('V8 accepts the code cache of %s', (name) => {
  expect(existsSync(dist(`${name}.cache`)), 'run npm run build first').toBe(true)
  const [text, file] = [readFileSync(dist(`${name}.cjs`)), readFileSync(dist(`${name}.cache`))]
  const [digest, cachedData] = [file.subarray(0, 32), file.subarray(32)]
  expect(digest).toEqual(createHash('sha256').update(text).update(cachedData).digest())
  expect(new Script(Module.wrap(String(text)), { cachedData }).cachedDataRejected).toBe(false)
})
