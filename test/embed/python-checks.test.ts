// Static checks of the Python code: mypy in strict mode, Ruff's linter and Ruff's formatter.
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Diagnostic, PositionEncoding, Workspace } from '@astral-sh/ruff-wasm-nodejs'
import { beforeAll, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { findPythons } from '../support/python.ts'

const FOLDER = fileURLToPath(new URL('../../embed/python', import.meta.url))

interface RuffOptions {
  readonly lint: { readonly ignore: readonly string[]; readonly 'per-file-ignores': Record<string, readonly string[]> }
}

const withToml = findPythons().find(({ version: [, minor] }) => minor >= 11) // the first one with tomllib
const hasMypy = spawnSync('mypy', ['--version']).status === 0

describe.skipIf(withToml === undefined)(`Ruff${withToml ? '' : ' (skipped: needs Python 3.11 or newer)'}`, () => {
  let options: RuffOptions
  beforeAll(() => {
    options = readOptions(String(withToml?.program))
  })

  const files = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.py'))

  it.each(files)('finds nothing to report in %s, and nothing to format', (file) => {
    const ruff = newWorkspace(file)
    const source = readFileSync(join(FOLDER, file), 'utf8')
    const diagnostics: Diagnostic[] = ruff.check(source)
    const report = diagnostics.map(({ start_location, code, message }) => `${start_location.row}: ${code} ${message}`)
    expect(report).toEqual([])
    expect(ruff.format(source)).toBe(source)
  })

  it('reports an unused import and a line to format, so that the configuration is in force', () => {
    const ruff = newWorkspace('auth.py')
    expect(ruff.check('import os\n').map(({ code }: Diagnostic) => code)).toContain('F401')
    expect(ruff.format('x = "a"\n')).toBe("x = 'a'\n")
  })

  /** Ruff's WebAssembly build reads no files: it gets the options of pyproject.toml that apply to this file. */
  function newWorkspace(file: string): Workspace {
    const { 'per-file-ignores': perFile, ...lint } = options.lint
    const forTests = file.startsWith('tests/') ? (perFile['tests/*'] ?? []) : []
    const effective = { ...options, lint: { ...lint, ignore: [...lint.ignore, ...forTests] } }
    return new Workspace(effective, PositionEncoding.Utf16)
  }
})

function readOptions(python: string): RuffOptions {
  const script = 'import json, sys, tomllib; json.dump(tomllib.load(sys.stdin.buffer)["tool"]["ruff"], sys.stdout)'
  const input = readFileSync(join(FOLDER, 'pyproject.toml'))
  return JSON.parse(execFileSync(python, ['-c', script], { input, encoding: 'utf8' }))
}

describe.skipIf(!hasMypy)(
  `mypy --strict${hasMypy ? '' : ' (skipped: needs Debian’s mypy)'}`,
  { timeout: 120_000 },
  () => {
    it.each(['linux', 'darwin', 'win32'])('finds no error on %s', async (platform) => {
      const args = ['--strict', '--platform', platform, '--cache-dir', await temporaryFolder()]
      const { stdout, status } = spawnSync('mypy', args, { cwd: FOLDER, encoding: 'utf8' })
      expect(stdout).toMatch(/^Success: no issues found in \d+ source files\n$/)
      expect(status).toBe(0)
    })
  },
)
