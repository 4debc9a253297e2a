// Programs that are run to their end: one that hangs, and one that leaves another with its output open.
import { describe, expect, it } from 'vitest'
import { systemRun } from '../../src/host/run.ts'
import { TestClock } from '../support/clock.ts'
import { isWindows, needs } from '../support/posix.ts'

describe.skipIf(isWindows)(`a program that is run${needs('a shell of POSIX')}`, () => {
  it('gives its status and its output', async () => {
    const ran = await systemRun(new TestClock(), {})('/bin/sh', ['-c', 'echo out; echo err >&2; exit 3'])
    expect(ran).toEqual({ status: 3, stdout: 'out\n', stderr: 'err\n' })
  })

  it.each([
    ['there is none', '/nowhere/at/all'],
    ['the system refuses it at once', '/etc/passwd/program'], // spawn() throws, as on Windows for another processor
  ])('has no status if %s', async (_fault, program) => {
    const ran = await systemRun(new TestClock(), {})(program, [])
    expect(ran).toEqual({ status: undefined, stdout: '', stderr: '' })
  })

  it.each([
    ['hangs', 'exec sleep 30'],
    ['has started one that keeps its output open', 'sleep 30 & wait'],
  ])('is given up after a minute if it %s', async (_fault, script) => {
    const clock = new TestClock()
    const ran = systemRun(clock, {})('/bin/sh', ['-c', script])
    clock.advance(61)
    expect(await ran).toMatchObject({ status: undefined })
  })
})
