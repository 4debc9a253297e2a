// Runs tests of a copy of the repository on Debian 13, in namespaces of their own, and returns their counts.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DEBIAN13 } from './debian13.ts'

const SCRIPT = fileURLToPath(new URL('suite.sh', import.meta.url))
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The folder of the reports as the tests see it. */
export const REPORTS = '/srv/reports'
const REPORT = 'report.json'
/** Vitest's options for the one report of a command that names no others. */
export const REPORTERS = ['--reporter=default', '--reporter=json', `--outputFile.json=${REPORTS}/${REPORT}`]

export interface Suite {
  /** The file with Node.js, which the tests find in /usr/local/bin. */
  readonly node: string
  /** The node_modules folder of the copy. */
  readonly modules: string
  /** Must write the reports. */
  readonly command: readonly string[]
  /** The names of the reports; by default the one of REPORTERS. */
  readonly reports?: readonly string[]
}

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly testResults: readonly TestFile[]
}

interface TestFile {
  readonly name: string
  readonly status: string
  readonly message: string
  readonly assertionResults: readonly { status: string; fullName: string; failureMessages: readonly string[] }[]
}

/**
 * Prints what the tests print, and at the end each failed test again. A report that is missing is a failure, and so is a
 * command that fails without a failed test.
 * @throws an error if there is no report at all
 */
export async function runSuite({ node, modules, command, reports: names = [REPORT] }: Suite): Promise<Counts> {
  const folder = await mkdtemp('/var/lib/cadzero-auth-test-')
  const reports = await mkdtemp(join(tmpdir(), 'cadzero-auth-test-'))
  try {
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private']
    const places = [DEBIAN13, folder, ROOT, await realpath(modules), node, reports]
    const child = spawn('unshare', [...namespaces, 'sh', SCRIPT, ...places, ...command], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const [code] = await once(child, 'exit')
    const texts = await Promise.all(names.map((name) => readFile(join(reports, name), 'utf8').catch(() => undefined)))
    if (texts.every((text) => text === undefined)) throw new Error(`the tests ended with ${code}, without a report`)
    const missing = names.filter((_name, index) => texts[index] === undefined)
    return countsOf(
      texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as Report])),
      missing.map((name) => `${name}: the tests of this report did not end`),
      code,
    )
  } finally {
    for (const path of [folder, reports]) await rm(path, { recursive: true })
  }
}

function countsOf(reports: readonly Report[], missing: readonly string[], code: unknown): Counts {
  const lines = [...missing, ...reports.flatMap(({ testResults }) => testResults.flatMap(failuresOf))]
  if (code !== 0 && lines.length === 0) lines.push(`the tests ended with ${code}, although none failed`)
  for (const line of lines) process.stdout.write(`FAILED: ${line}\n`)
  const total = (one: (report: Report) => number) => reports.reduce((rest, report) => rest + one(report), 0)
  return {
    passed: total(({ numPassedTests }) => numPassedTests),
    failed: lines.length,
    skipped: total(({ numPendingTests }) => numPendingTests),
  }
}

export function sum(one: Counts, other: Counts): Counts {
  const { passed, failed, skipped } = one
  return { passed: passed + other.passed, failed: failed + other.failed, skipped: skipped + other.skipped }
}

/** One line per failed test, or one for a file that could not be read at all. */
function failuresOf({ name, status, message, assertionResults }: TestFile): readonly string[] {
  const file = name.slice(name.indexOf('/test/') + 1)
  const failed = assertionResults.filter((one) => one.status === 'failed')
  if (status === 'failed' && failed.length === 0) return [`${file}: ${message}`]
  return failed.map(({ fullName, failureMessages }) => `${file} › ${fullName}: ${failureMessages[0]?.slice(0, 500)}`)
}
