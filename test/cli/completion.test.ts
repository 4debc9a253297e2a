// The completion scripts, each run by its own shell.
import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { completedCommands } from '../../src/cli/completion.ts'
import { SCRIPTS, type Shell } from '../../src/cli/completion-scripts.ts'
import { runProgram, temporaryFolder } from '../support/program.ts'

/** The words before the cursor, and words that are suggested or not. The last word is being typed. */
const CASES: readonly (readonly [readonly string[], readonly string[], readonly string[]])[] = [
  [['lo'], ['login', 'logout'], ['status']],
  [['login', '--pro'], ['--profile'], ['--json']],
  [['login', '--profile', ''], ['local', 'staging', 'production', 'mine'], ['--json']],
  [['service', ''], ['install', 'uninstall', 'status', 'restart', 'logs'], ['login']],
  [['service', 'status', '--'], ['--json'], ['--watch']],
  [['status', '--'], ['--watch', '--profile'], []],
  [['completion', ''], ['bash', 'zsh', 'fish', 'powershell'], []],
  [['rpc', '$(touch injected)', '--j'], ['--json'], []],
]

// zsh and fish complete in a terminal only: what their own functions would show is printed instead.
const ASK: Readonly<Record<string, (script: string, words: readonly string[]) => readonly string[]>> = {
  bash: (script, words) => [
    '-c',
    `source "$1"; shift; COMP_WORDS=(cadzero-auth "$@"); COMP_CWORD=$#; _cadzero_auth; printf '%s\\n' "\${COMPREPLY[@]}"`,
    'bash',
    script,
    ...words,
  ],
  zsh: (script, words) => [
    '-f',
    '-c',
    `compdef() {}; _files() {}; _describe() { print -rl -- \${(P)2} }
     source "$1"; shift; words=(cadzero-auth "$@"); CURRENT=$#words; _cadzero-auth`,
    'zsh',
    script,
    ...words,
  ],
  fish: (script, words) => [
    '--no-config',
    '-c',
    'source $argv[1]; complete -C "cadzero-auth $(string escape -- $argv[2..-2] | string join " ") $argv[-1]"',
    script,
    ...words,
  ],
}

async function newScript(
  shell: string,
): Promise<{ readonly folder: string; readonly path: string; readonly text: string }> {
  const folder = await temporaryFolder()
  await mkdir(join(folder, 'config'), { mode: 0o700 })
  const profiles = { mine: { issuer: 'https://clerk.example.com', clientId: 'client_1' } }
  await writeFile(join(folder, 'config', 'config.json'), JSON.stringify({ profiles }))
  const { code, stdout, stderr } = await runProgram(['completion', shell], { home: folder })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const path = join(folder, `script.${shell}`)
  await writeFile(path, stdout)
  return { folder, path, text: stdout }
}

describe.each(Object.keys(ASK))('the script for %s', (shell) => {
  const hasShell = spawnSync(shell, ['--version']).status === 0
  it.skipIf(!hasShell)(
    `completes commands, options and profiles${hasShell ? '' : ` (skipped: needs ${shell})`}`,
    async () => {
      const { folder, path } = await newScript(shell)
      for (const [words, suggested, others] of CASES) {
        const { status, stdout, stderr } = spawnSync(shell, ASK[shell]?.(path, words) ?? [], {
          cwd: folder,
          encoding: 'utf8',
          env: { PATH: process.env.PATH, HOME: folder },
        })
        expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
        const found = stdout
          .split('\n')
          .map((line) => String(line.split(/[\t:]/)[0]))
          .filter((word) => word.startsWith(String(words.at(-1))))
        expect(found, words.join(' ')).toEqual(expect.arrayContaining([...suggested]))
        for (const other of others) expect(found).not.toContain(other)
      }
      const { stdout } = spawnSync('ls', [folder], { encoding: 'utf8' })
      expect(stdout).not.toContain('injected')
    },
  )
})

describe('the scripts', () => {
  // PowerShell is not in Debian: docs/platform-status.md says so.
  it('has one for PowerShell, with every command and in balanced quotes', async () => {
    const { text } = await newScript('powershell')
    expect(text).toContain("' service install' = @(")
    expect(text).toContain("' login --profile' = @('local', 'staging', 'production', 'mine')")
    for (const line of text.split('\n')) expect((line.match(/'/g) ?? []).length % 2, line).toBe(0)
  })

  it.each<Shell>(['bash', 'zsh', 'fish', 'powershell'])('quote descriptions for %s', async (shell) => {
    const program = new Command('cadzero-auth').option('--odd', 'an ’odd’ one: it\'s "$(touch x)" `y` \\ …')
    program.command('one').description("it's one")
    const text = SCRIPTS[shell](completedCommands(program, []))
    expect(text).toMatch(/^[\x20-\x7e\n]*$/)
    const file = join(await temporaryFolder(), 'script')
    await writeFile(file, text)
    if (spawnSync(shell, ['--version']).status !== 0) return
    expect(spawnSync(shell, ['-n', file], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
  })

  it('are still printed if the configuration is wrong', async () => {
    const home = await temporaryFolder()
    const { code, stdout } = await runProgram(['completion', 'bash'], { home, env: { CADZERO_AUTH_PORT: 'x' } })
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('complete -o default') })
  })
})
