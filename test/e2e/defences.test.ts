// The arguments of `npm run test:defences`: none of them makes a run that removes nothing and succeeds.
import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'

const run = (...args: string[]) =>
  spawnSync(process.execPath, ['node_modules/tsx/dist/cli.mjs', 'scripts/defences.ts', ...args], { encoding: 'utf8' })

describe('the run without defences', { timeout: 60_000 }, () => {
  it.each([
    [
      ['--only', 'no such defence'],
      'error: no defence has «no such defence» in its name; run with --list to see all\n',
    ],
    [['--sample', 'ten'], 'error: --sample takes a number\n'],
    [['--sample', '0'], 'error: --sample takes a number\n'],
  ])('is refused with %s', (args, stderr) => {
    expect(run(...args)).toMatchObject({ status: 2, stdout: '', stderr })
  })

  it('has a list of what can be chosen', () => {
    const { status, stdout } = run('--list', '--only', 'files that are private')
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'files that are private from the start\n' })
  })
})
