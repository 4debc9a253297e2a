// Runs the unit tests, and those of the service on systemd 257, on Debian 13: npm run test:debian13 -- [--node 22]… [TEST FILE]…
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CACHE, fetchPackages } from './package/fetch.ts'
import { lacking, makeDebian13 } from './trials/debian13.ts'
import { recordTrial } from './trials/record.ts'
import { REPORTERS, runSuite, sum } from './trials/suite.ts'

const NODES = ['22', '24', '26'] as const
const UNIT = ['--project', 'unit']
const TIMEOUTS = ['--testTimeout=90000', '--hookTimeout=90000'] // the trial takes minutes, on a computer that may be busy
const SYSTEMD = ['--project', 'packaging', 'test/packaging/systemd.test.ts']

const { values, positionals } = parseArgs({
  options: { node: { type: 'string', multiple: true } },
  allowPositionals: true,
})
const nodes = NODES.filter((one) => values.node?.includes(one) ?? true)
const reason = lacking()
if (reason !== '') {
  process.stdout.write(`skipped: ${reason}\n`)
  process.exit()
}
await makeDebian13()
const packages = await fetchPackages(
  { name: 'nodes', os: 'linux', cpu: 'x64', files: NODES.map((one) => `node-${one}/bin/node`) },
  { manifest: fileURLToPath(new URL('trials/nodes', import.meta.url)), cache: CACHE },
)
let failures = 0
for (const one of nodes) failures += await tryNode(one)
process.exitCode = failures === 0 ? 0 : 1

/** @returns how many tests failed */
async function tryNode(major: (typeof NODES)[number]): Promise<number> {
  const node = join(packages, `node-${major}/bin/node`)
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim().slice(1)
  process.stdout.write(`== Node.js ${version} on Debian 13\n`)
  const build = 'node --import tsx scripts/build.ts'
  const tests = ['node', 'node_modules/vitest/vitest.mjs', 'run', ...REPORTERS, ...TIMEOUTS]
  const command = ['sh', '-c', `${build} && exec "$@"`, 'sh', ...tests]
  const isWhole = positionals.length === 0
  let counts = await runSuite({ node, modules: 'node_modules', command: [...command, ...UNIT, ...positionals] })
  if (isWhole)
    counts = sum(counts, await runSuite({ node, modules: 'node_modules', command: [...command, ...SYSTEMD] }))
  process.stdout.write(
    `Node.js ${version}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`,
  )
  if (isWhole) await recordTrial(`Debian 13, Node.js ${major}`, version, counts)
  return counts.failed
}
