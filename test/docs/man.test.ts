// The man page: every command and option, in roff that the formatters accept.
import { spawnSync } from 'node:child_process'
import { type Command, Help } from 'commander'
import { describe, expect, it } from 'vitest'
import { manPage } from '../../scripts/man.ts'
import { createProgram, fullName } from '../../src/cli/program.ts'
import { has } from './user.ts'

describe('cadzero-auth(1)', () => {
  it('names every visible command and option', () => {
    const shown = manPage().replaceAll('\\-', '-')
    const help = new Help()
    const visit = (command: Command) => {
      if (command.parent) expect(shown).toContain(`.SS ${fullName(command)} `)
      for (const { flags } of help.visibleOptions(command))
        if (!flags.includes('--help')) expect(shown).toContain(`.B ${flags}\n`)
      for (const one of help.visibleCommands(command)) if (one.name() !== 'help') visit(one)
    }
    visit(createProgram(async () => undefined))
    expect(shown).not.toContain('--passphrase-stdin')
  })

  it.skipIf(!has('groff'))(`is formatted without a warning${has('groff') ? '' : ' (skipped: needs groff)'}`, () => {
    const plain = ['-P', '-cbou'] // without bold and underlined letters
    const groff = ['-man', '-Tutf8', '-ww', ...plain]
    const { stdout, stderr } = spawnSync('groff', groff, { input: manPage(), encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(stdout).toContain('CADZERO-AUTH(1)')
    expect(stdout).toContain('curl -H "$(cadzero-auth header)"')
  })
})
