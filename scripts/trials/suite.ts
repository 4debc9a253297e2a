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

/** The folder of the report as the tests see it. */
const REPORTS = '/srv/reports'
const REPORT = `${REPORTS}/report.json`
/** Vitest's options for the report. */
export const REPORTERS = ['--reporter=default', '--reporter=json', `--outputFile.json=${REPORT}`]

export interface Suite {
  /** The file with Node.js, which the tests find in /usr/local/bin. */
  readonly node: string
  /** The node_modules folder of the copy. */
  readonly modules: string
  /** Must write the report. */
  readonly command: readonly string[]
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

/** Prints what the tests print, and at the end each failed test again. @throws an error if there is no report */
export async function runSuite({ node, modules, command }: Suite): Promise<Counts> {
  const folder = await mkdtemp('/var/lib/cadzero-auth-test-')
  const reports = await mkdtemp(join(tmpdir(), 'cadzero-auth-test-'))
  try {
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private']
    const places = [DEBIAN13, folder, ROOT, await realpath(modules), node, reports]
    const child = spawn('unshare', [...namespaces, 'sh', SCRIPT, ...places, ...command], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const [code] = await once(child, 'exit')
    const text = await readFile(join(reports, 'report.json'), 'utf8').catch(() => {
      throw new Error(`the tests ended with ${code}, without a report`)
    })
    return countsOf(JSON.parse(text) as Report)
  } finally {
    for (const path of [folder, reports]) await rm(path, { recursive: true })
  }
}

function countsOf(report: Report): Counts {
  const lines = report.testResults.flatMap((file) => failuresOf(file))
  for (const line of lines) process.stdout.write(`FAILED: ${line}\n`)
  const { numPassedTests: passed, numPendingTests: skipped } = report
  return { passed, failed: lines.length, skipped }
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
