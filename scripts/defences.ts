// Takes each defence out in turn, in a copy of the sources, and checks that a test turns red: `npm run test:defences`.
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Defence, defences } from './defences/list.ts'

const COPIED = ['src', 'test', 'scripts', 'embed', 'package.json', 'tsconfig.json', 'vitest.config.ts']
const LONGEST_MS = 120_000 // for one defence: a build and a test

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    sample: { type: 'string' },
    workers: { type: 'string', default: '2' },
  },
})

interface Outcome {
  readonly defence: Defence
  readonly verdict: 'red' | 'GREEN' | 'DOES NOT APPLY' | 'NO SUCH TEST' | 'RED WITHOUT BEING TOUCHED' | 'TOOK TOO LONG'
  readonly failed: readonly string[]
  readonly seconds: number
}

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: readonly { assertionResults: readonly { status: string; title: string }[]; status: string }[]
}

const say = (text: string) => void process.stdout.write(`${text}\n`)

/** Runs a program to its end; false where it took too long. */
function run(cwd: string, program: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, stdio: 'ignore', detached: true })
    const timer = setTimeout(() => process.kill(-Number(child.pid), 'SIGKILL'), LONGEST_MS)
    child.once('error', reject)
    child.once('exit', (_code, signal) => {
      clearTimeout(timer)
      resolve(signal !== 'SIGKILL')
    })
  })
}

/** A copy of the sources, with the packages of this one. */
async function newTree(): Promise<string> {
  const tree = await mkdtemp(join(tmpdir(), 'cadzero-auth-defences-'))
  for (const name of COPIED) await cp(name, join(tree, name), { recursive: true })
  await symlink(join(process.cwd(), 'node_modules'), join(tree, 'node_modules'))
  return tree
}

async function build(tree: string): Promise<boolean> {
  return await run(tree, process.execPath, ['node_modules/tsx/dist/cli.mjs', 'scripts/build.ts'])
}

/** Undefined where it took too long, or said nothing. */
async function test(tree: string, [file, name]: Defence['test']): Promise<Report | undefined> {
  const report = join(tree, 'report.json')
  await rm(report, { force: true })
  const pattern = name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const args = ['run', file, '-t', pattern, '--reporter=json', `--outputFile=${report}`, '--testTimeout=10000']
  if (!(await run(tree, process.execPath, ['node_modules/vitest/vitest.mjs', ...args]))) return undefined
  return await readFile(report, 'utf8').then(
    (text) => JSON.parse(text) as Report,
    () => undefined,
  )
}

const failedIn = (report: Report) =>
  report.testResults.flatMap(({ assertionResults, status }) => {
    const names = assertionResults.filter((one) => one.status === 'failed').map(({ title }) => title)
    return names.length === 0 && status === 'failed' ? ['(the file itself)'] : names
  })

async function tryOut(tree: string, defence: Defence): Promise<Outcome> {
  const startedAt = performance.now()
  const done = (verdict: Outcome['verdict'], failed: readonly string[] = []): Outcome => ({
    defence,
    verdict,
    failed,
    seconds: (performance.now() - startedAt) / 1000,
  })
  const path = join(tree, defence.file)
  const source = await readFile(path, 'utf8')
  let changed = source
  for (const [text, replacement] of defence.without) {
    if (changed.split(text).length !== 2) return done('DOES NOT APPLY')
    changed = changed.replace(text, () => replacement)
  }
  try {
    await writeFile(path, changed)
    if (!(await build(tree))) return done('TOOK TOO LONG')
    const report = await test(tree, defence.test)
    if (report === undefined) return done('red', ['(did not end)'])
    const failed = failedIn(report)
    if (failed.length > 0) return done('red', failed)
    return done(report.numPassedTests === 0 ? 'NO SUCH TEST' : 'GREEN')
  } finally {
    await writeFile(path, source)
  }
}

/** With every defence in place each of these tests is green: else a red one would say nothing. */
async function findBroken(tree: string, chosen: readonly Defence[]): Promise<Set<Defence>> {
  await build(tree)
  const broken = new Set<Defence>()
  const tests = new Map<string, Defence[]>()
  for (const defence of chosen)
    tests.set(defence.test.join('\n'), [...(tests.get(defence.test.join('\n')) ?? []), defence])
  for (const [, same] of tests) {
    const [first] = same
    const report = first && (await test(tree, first.test))
    if (report === undefined || failedIn(report).length > 0) for (const defence of same) broken.add(defence)
  }
  return broken
}

/** So many of them, others each time. */
function sampleOf(all: readonly Defence[], count: number): Defence[] {
  const left = [...all]
  return Array.from({ length: Math.min(count, left.length) }, () => left.splice(randomInt(left.length), 1)).flat()
}

async function main(): Promise<void> {
  const named = defences.filter(({ name }) => name.includes(values.only ?? ''))
  const chosen = values.sample === undefined ? named : sampleOf(named, Number(values.sample))
  const workers = Math.max(1, Number(values.workers) || 1)
  const trees = await Promise.all(Array.from({ length: workers }, newTree))
  try {
    const parts = trees.map((_, i) => chosen.filter((_defence, at) => at % workers === i))
    const outcomes = await Promise.all(
      trees.map(async (tree, i) => {
        const part = parts[i] ?? []
        const broken = await findBroken(tree, part)
        const all: Outcome[] = []
        for (const defence of part) {
          const outcome: Outcome = broken.has(defence)
            ? { defence, verdict: 'RED WITHOUT BEING TOUCHED', failed: [], seconds: 0 }
            : await tryOut(tree, defence)
          say(describe(outcome))
          all.push(outcome)
        }
        return all
      }),
    )
    const bad = outcomes.flat().filter(({ verdict }) => verdict !== 'red')
    say(`\n${chosen.length} defences taken out, ${chosen.length - bad.length} seen by a test, ${bad.length} not`)
    for (const outcome of bad) say(describe(outcome))
    process.exitCode = bad.length === 0 ? 0 : 1
  } finally {
    await Promise.all(trees.map((tree) => rm(tree, { recursive: true, force: true })))
  }
}

function describe({ defence, verdict, failed, seconds }: Outcome): string {
  const [file, name] = defence.test
  const seen = failed.length > 0 ? ` (${failed.length} failed)` : ''
  return `${verdict.padEnd(8)} ${defence.name.padEnd(46)} ${file} › ${name}${seen}  ${seconds.toFixed(1)} s`
}

await main()
