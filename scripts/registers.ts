// Checks that every row of the register has a passed test: `npm run test:registers [-- report.json …]`, else it runs them.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkReport, type Report, register } from '../test/security/register.ts'

const PROJECTS = ['unit', 'security', 'faults', 'e2e']

/** Runs the tests that name a row; returns the path of the report. */
function run(folder: string): string {
  const report = join(folder, 'report.json')
  const projects = PROJECTS.flatMap((name) => ['--project', name])
  const reporters = ['--reporter=dot', '--reporter=json', `--outputFile.json=${report}`]
  const args = ['node_modules/vitest/vitest.mjs', 'run', ...projects, '-t', '\\[[A-Z0-9][\\w -]+\\] ', ...reporters]
  spawnSync(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  return report
}

const folder = mkdtempSync(join(tmpdir(), 'cadzero-auth-registers-'))
try {
  const given = process.argv.slice(2)
  const paths = given.length > 0 ? given : [run(folder)]
  const reports = paths.map((path) => JSON.parse(readFileSync(path, 'utf8')) as Report)
  const headings = [...readFileSync('SECURITY.md', 'utf8').matchAll(/^## (.+)$/gm)].map(([, heading]) =>
    String(heading),
  )
  const problems = checkReport(register, reports, headings)
  const text =
    problems.length === 0 ? `every one of ${Object.keys(register).length} rows is covered` : problems.join('\n')
  process.stdout.write(`${text}\n`)
  process.exitCode = problems.length === 0 ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
