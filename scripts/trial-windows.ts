// Runs the unit tests inside the Node.js of Windows, on Wine 10: npm run test:windows:suite -- [FOLDER OR FILE OF TESTS]…
import { execFileSync } from 'node:child_process'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CACHE, fetchPackages, fetchTarget } from './package/fetch.ts'
import { PLATFORM_VERSION, targetsNamed } from './package/targets.ts'
import { lacking, makeDebian13 } from './trials/debian13.ts'
import { recordTrial } from './trials/record.ts'
import { REPORTS, runSuite } from './trials/suite.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
// What npm installs for Windows alone, and the tests cannot run without.
const FILES = ['@esbuild/win32-x64/esbuild.exe', '@rolldown/binding-win32-x64-msvc', 'vitest/vitest.mjs']
const PROJECT = ['--project', 'unit']
const OPTIONS = [...PROJECT, '--reporter=default', '--reporter=json']
const GROUP_SECONDS = 1800 // for a group that hangs: the longest takes some minutes, and more on a busy machine

const selected = process.argv.slice(2)
const reason = lacking()
if (reason !== '') {
  process.stdout.write(`skipped: ${reason}\n`)
  process.exit()
}
await makeDebian13()
const [target] = targetsNamed(['win-x64'])
if (target === undefined) throw new Error('there is no target win-x64')
const modules = await fetchPackages(
  { name: 'suite-win-x64', os: 'win32', cpu: 'x64', files: FILES },
  { manifest: ROOT, cache: CACHE },
)
const groups = selected.length > 0 ? selected : groupsOfTests()
const counts = await runSuite({
  node: join(await fetchTarget(target), target.node),
  modules,
  command: ['sh', 'scripts/trials/windows-suite.sh', `${GROUP_SECONDS}`, REPORTS, groups.join(' '), ...OPTIONS],
  reports: groups.map((group) => `${group.replaceAll('/', '-')}.json`),
})
const { passed, failed, skipped } = counts
process.stdout.write(
  `Windows' Node.js ${PLATFORM_VERSION} on Wine 10: ${passed} passed, ${failed} failed, ${skipped} skipped\n`,
)
if (selected.length === 0) await recordTrial('Windows on Wine 10, Node.js 26', PLATFORM_VERSION, counts)
process.exitCode = failed === 0 ? 0 : 1

/** The folders of the unit tests, and the files that are in none. */
function groupsOfTests(): readonly string[] {
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
  const list = execFileSync(process.execPath, [vitest, 'list', '--filesOnly', '--json', ...PROJECT], { cwd: ROOT })
  const files = (JSON.parse(list.toString()) as { file: string }[]).map(({ file }) => relative(ROOT, file).split(sep))
  return [...new Set(files.map(([test, name, ...below]) => `${test}/${name}${below.length > 0 ? '/' : ''}`))].sort()
}
