// Runs the unit tests inside the Node.js of Windows, on Wine 10: npm run test:windows:suite -- [TEST FILE]…

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CACHE, fetchPackages, fetchTarget } from './package/fetch.ts'
import { PLATFORM_VERSION, targetsNamed } from './package/targets.ts'
import { lacking, makeDebian13 } from './trials/debian13.ts'
import { recordTrial } from './trials/record.ts'
import { REPORTERS, runSuite } from './trials/suite.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
// What npm installs for Windows alone, and the tests cannot run without.
const FILES = ['@esbuild/win32-x64/esbuild.exe', '@rolldown/binding-win32-x64-msvc', 'vitest/vitest.mjs']
const TIMEOUTS = ['--testTimeout=120000', '--hookTimeout=120000'] // each access to a file goes through Wine's one server

const files = process.argv.slice(2)
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
const counts = await runSuite({
  node: join(await fetchTarget(target), target.node),
  modules,
  command: ['sh', 'scripts/trials/windows-suite.sh', '--project', 'unit', ...REPORTERS, ...TIMEOUTS, ...files],
})
const { passed, failed, skipped } = counts
process.stdout.write(
  `Windows' Node.js ${PLATFORM_VERSION} on Wine 10: ${passed} passed, ${failed} failed, ${skipped} skipped\n`,
)
if (files.length === 0) await recordTrial('Windows on Wine 10, Node.js 26', PLATFORM_VERSION, counts)
process.exitCode = failed === 0 ? 0 : 1
