// Text for a terminal: its width, and its colours.
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { wrap } from '../../src/cli/terminal.ts'
import { runProgram, temporaryFolder } from '../support/program.ts'
import { hasTerminal, runInTerminal } from '../support/terminal.ts'
import { newWorld } from '../support/world.ts'

const skipped = hasTerminal ? '' : ' (skipped: needs script of util-linux)'

describe('wrap', () => {
  it('breaks a line between words, and goes on at the column of its text', () => {
    expect(wrap('name  one two three\nnext  short', 14, 6)).toBe('name  one two\n      three\nnext  short')
  })

  it('keeps a link whole, and the spaces at the start of a line', () => {
    const link = `https://example.com/${'x'.repeat(30)}`
    expect(wrap(`link       ${link}`, 20, 11)).toBe(`link\n           ${link}`)
    expect(wrap('         hint: one two', 18, 9)).toBe('         hint: one\n         two')
  })

  it('does not count colours', () => {
    expect(wrap('\x1b[31mred\x1b[39m ab', 6, 0)).toBe('\x1b[31mred\x1b[39m ab')
  })
})

describe.skipIf(!hasTerminal)(`a terminal of 60 columns${skipped}`, () => {
  const tooLong = (text: string) =>
    stripVTControlCharacters(text)
      .split('\n')
      .filter((line) => line.length > 60 && /\S\s+\S/.test(line.trim()))

  it.each([[[]], [['login']], [['service']], [['service', 'logs']], [['doctor']]])(
    'shows the help of %j',
    async (command) => {
      const { code, stdout } = await runInTerminal([...command, '--help'], 60, { home: await temporaryFolder() })
      expect(code).toBe(0)
      expect(tooLong(stdout)).toEqual([])
    },
  )

  it.each([45, 50])('shows the help also in %i columns, with descriptions below their terms', async (columns) => {
    const { stdout } = await runInTerminal(['--help'], columns, { home: await temporaryFolder() })
    const text = stripVTControlCharacters(stdout)
    expect(text.split('\n').filter((line) => line.length > columns)).toEqual([])
    expect(text).toMatch(/^ {2}import-legacy \[options\] <file>\n {6}import the session/m)
  })

  it('shows status and doctor without breaking a word', async () => {
    const { home, env, signIn, client } = await newWorld()
    await signIn()
    for (const command of ['status', 'doctor']) {
      const { code, stdout } = await runInTerminal([command], 60, { home, env })
      expect(code, stdout).toBe(0)
      expect(tooLong(stdout)).toEqual([])
      expect(stdout.split('\n').length).toBeGreaterThan(8)
    }
    client.close()
  })
})

describe('colours', () => {
  const unknown = ['status', '--profile', 'nowhere', '--no-start', '--nonsense']

  it.skipIf(!hasTerminal)(`appear in a terminal${skipped}`, async () => {
    const home = await temporaryFolder()
    expect((await runInTerminal(unknown, 80, { home })).stdout).toContain('\x1b[31merror:\x1b[39m')
    expect((await runInTerminal(['--help'], 80, { home })).stdout).toContain('\x1b[1mUsage:')
  })

  it.skipIf(!hasTerminal)(`do not appear if NO_COLOR is set or the terminal has none${skipped}`, async () => {
    const home = await temporaryFolder()
    for (const env of [{ NO_COLOR: '1' }, { NO_COLOR: '1', FORCE_COLOR: '1' }, { TERM: 'dumb' }]) {
      expect((await runInTerminal(unknown, 80, { home, env })).stdout).toMatch(/^error: /)
      expect((await runInTerminal(['--help'], 80, { home, env })).stdout).toMatch(/^Usage: /)
    }
  })

  it('do not appear in a pipe', async () => {
    const { stderr } = await runProgram(unknown, { home: await temporaryFolder() })
    expect(stderr).toMatch(/^error: /)
  })
})
