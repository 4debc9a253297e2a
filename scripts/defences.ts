// Removes each defence of the list in turn, in a copy of the sources, and checks that its test fails: `npm run test:defences -- --list`.
import { spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Defence, defences } from './defences/list.ts'

const COPIED = [
  'src',
  'test',
  'scripts',
  'embed',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'vitest.config.ts',
]
const MAX_MS = 180_000 // for one program: the compiler, the build or a test
const VITEST = 'node_modules/vitest/vitest.mjs'
const TSX = 'node_modules/tsx/dist/cli.mjs'
const TSC = 'node_modules/typescript/bin/tsc'

/** `killed` is the only good one: the code without the defence compiles, and its test fails. */
type Verdict =
  | 'killed'
  | 'SURVIVED'
  | 'DOES NOT APPLY'
  | 'DOES NOT COMPILE'
  | 'NO SUCH TEST'
  | 'TEST FAILS ANYWAY'
  | 'TIMEOUT'

interface Outcome {
  readonly defence: Defence
  readonly verdict: Verdict
  readonly seconds: number
}

interface Report {
  readonly testResults: readonly { readonly assertionResults: readonly { readonly status: string }[] }[]
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    sample: { type: 'string' },
    workers: { type: 'string', default: '2' },
    list: { type: 'boolean', default: false },
  },
})

const print = (text: string) => void process.stdout.write(`${text}\n`)

const fail = (text: string): never => {
  process.stderr.write(`error: ${text}\n`)
  process.exit(2)
}

/** Runs a program to its end; returns its exit code, or undefined if it took too long. */
function run(cwd: string, program: string, args: readonly string[]): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, stdio: 'ignore', detached: true })
    let isTooLong = false
    const timer = setTimeout(() => {
      isTooLong = true
      process.kill(-Number(child.pid), 'SIGKILL')
    }, MAX_MS)
    child.once('error', reject)
    child.once('exit', (code) => {
      clearTimeout(timer)
      resolve(isTooLong ? undefined : (code ?? 1))
    })
  })
}

/** Makes a copy of the sources, with the packages of this folder. */
async function newTree(): Promise<string> {
  const tree = await mkdtemp(join(tmpdir(), 'cadzero-auth-defences-'))
  for (const name of COPIED) await cp(name, join(tree, name), { recursive: true })
  await symlink(join(process.cwd(), 'node_modules'), join(tree, 'node_modules'))
  return tree
}

/** Returns the source without the defence, or undefined if a text is missing or not unique. */
function remove(source: string, { without }: Defence): string | undefined {
  let changed = source
  for (const [text, replacement] of without) {
    if (changed.split(text).length !== 2) return undefined
    changed = changed.replace(text, () => replacement)
  }
  return changed
}

async function compiles(tree: string, file: string): Promise<boolean> {
  if (file.endsWith('.py')) return (await run(tree, 'python3', ['-m', 'py_compile', file])) === 0
  // What becomes unused without a defence is no error.
  const args = [TSC, '--noEmit', '--noUnusedLocals', 'false', '--noUnusedParameters', 'false']
  return (
    (await run(tree, process.execPath, args)) === 0 &&
    (await run(tree, process.execPath, [TSX, 'scripts/build.ts', '--without-caches'])) === 0
  )
}

/** Runs the test of a defence; returns the statuses of the tests that its title selects, or undefined after a timeout. */
async function runTest(
  tree: string,
  { test: [file, title] }: Defence,
  ...options: readonly string[]
): Promise<readonly string[] | undefined> {
  const report = join(tree, 'report.json')
  await rm(report, { force: true })
  const pattern = title.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const args = [VITEST, 'run', file, '-t', pattern, '--reporter=json', `--outputFile=${report}`, ...options]
  if ((await run(tree, process.execPath, args)) === undefined) return undefined
  const { testResults } = JSON.parse(await readFile(report, 'utf8')) as Report
  const statuses = testResults.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status))
  return statuses.filter((status) => status === 'passed' || status === 'failed')
}

async function judge(tree: string, defence: Defence): Promise<Verdict> {
  const path = join(tree, defence.file)
  const source = await readFile(path, 'utf8')
  const changed = remove(source, defence)
  if (changed === undefined) return 'DOES NOT APPLY'
  try {
    await writeFile(path, changed)
    if (!(await compiles(tree, defence.file))) return 'DOES NOT COMPILE'
    const statuses = await runTest(tree, defence, '--testTimeout=10000') // a test may hang without its defence
    if (statuses === undefined) return 'TIMEOUT'
    if (statuses.length === 0) return 'NO SUCH TEST'
    return statuses.includes('failed') ? 'killed' : 'SURVIVED'
  } finally {
    await writeFile(path, source)
  }
}

/** The defences whose test fails with every defence in place: its failure would prove nothing. */
async function findBroken(tree: string, chosen: readonly Defence[]): Promise<Set<string>> {
  if (!(await compiles(tree, 'src/bootstrap/program.ts'))) throw new Error('the sources do not compile')
  const broken = new Set<string>()
  for (const defence of new Map(chosen.map((one) => [one.test.join(), one])).values()) {
    const statuses = await runTest(tree, defence)
    if (statuses?.includes('failed') ?? true) broken.add(defence.test.join())
  }
  return broken
}

async function work(tree: string, chosen: readonly Defence[]): Promise<Outcome[]> {
  const broken = await findBroken(tree, chosen)
  const outcomes: Outcome[] = []
  for (const defence of chosen) {
    const startedAt = performance.now()
    const verdict = broken.has(defence.test.join()) ? 'TEST FAILS ANYWAY' : await judge(tree, defence)
    const outcome = { defence, verdict, seconds: (performance.now() - startedAt) / 1000 }
    print(describe(outcome))
    outcomes.push(outcome)
  }
  return outcomes
}

const describe = ({ defence: { name, test }, verdict, seconds }: Outcome) =>
  `${verdict.padEnd(8)} ${name.padEnd(58)} ${test.join(' › ')}  ${seconds.toFixed(1)} s`

/** Checks the whole list without a run, so that a sample cannot hide an entry that is out of date. */
function findOutdated(): Outcome[] {
  const listed = spawnSync(process.execPath, [VITEST, 'list', ...new Set(defences.map(({ test: [file] }) => file))], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  }).stdout.split('\n')
  return defences.flatMap((defence): Outcome[] => {
    const [file, title] = defence.test
    const isListed = listed.some((line) => line.includes(file) && line.includes(title))
    if (!isListed) return [{ defence, verdict: 'NO SUCH TEST', seconds: 0 }]
    if (remove(readFileSync(defence.file, 'utf8'), defence) !== undefined) return []
    return [{ defence, verdict: 'DOES NOT APPLY', seconds: 0 }]
  })
}

/** Chooses `count` defences at random. */
function sampleOf(all: readonly Defence[], count: number): Defence[] {
  const left = [...all]
  return Array.from({ length: Math.min(count, left.length) }, () => left.splice(randomInt(left.length), 1)).flat()
}

async function main(): Promise<void> {
  const wanted = defences.filter(({ name }) => name.includes(values.only))
  if (values.list) return print(wanted.map(({ name }) => name).join('\n'))
  if (wanted.length === 0) fail(`no defence has «${values.only}» in its name; run with --list to see all`)
  if (!/^[1-9]\d*$/.test(values.sample ?? '1')) fail('--sample takes a number')
  const outdated = findOutdated()
  const usable = wanted.filter((one) => outdated.every(({ defence }) => defence !== one))
  const chosen = values.sample === undefined ? usable : sampleOf(usable, Number(values.sample))
  const trees = await Promise.all(Array.from({ length: Math.max(1, Number(values.workers) || 1) }, newTree))
  try {
    const parts = trees.map((tree, i) =>
      work(
        tree,
        chosen.filter((_, at) => at % trees.length === i),
      ),
    )
    const outcomes = (await Promise.all(parts)).flat()
    const bad = [...outdated, ...outcomes.filter(({ verdict }) => verdict !== 'killed')]
    print(
      `\n${chosen.length} defences removed: ${outcomes.length - (bad.length - outdated.length)} killed, ${bad.length} problems`,
    )
    for (const outcome of bad) print(describe(outcome))
    process.exitCode = bad.length === 0 ? 0 : 1
  } finally {
    await Promise.all(trees.map((tree) => rm(tree, { recursive: true, force: true })))
  }
}

await main()
