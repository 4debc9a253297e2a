// The doctor with its findings by the name of the check.
import type { Finding } from '../../src/cli/doctor/finding.ts'
import { type Ended, runProgram } from './program.ts'

export interface Examined extends Ended {
  /** The first finding whose check starts with this name. */
  finding(check: string): Finding | undefined
  /** Why it could not examine anything. */
  readonly error: { readonly message: string; readonly hint?: string } | undefined
}

export async function runDoctor(
  home: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Examined> {
  const ended = await runProgram(['doctor', '--json', ...args], { home, env })
  const findings = ended.stdout === '' ? [] : (JSON.parse(ended.stdout) as Finding[])
  const { error } = ended.stderr === '' ? {} : JSON.parse(String(ended.stderr.trim().split('\n').at(-1)))
  return { ...ended, finding: (check) => findings.find((one) => one.check.startsWith(check)), error }
}
