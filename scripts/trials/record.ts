// The results of the trials in docs/platform-status.md: one row per trial, which the trial writes.
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import manifest from '../../package.json' with { type: 'json' }
import type { Counts } from './suite.ts'

const PAGE = fileURLToPath(new URL('../../docs/platform-status.md', import.meta.url))

/** The trials with a row, in this order. */
export const TRIALS = [
  'Debian 13, Node.js 22',
  'Debian 13, Node.js 24',
  'Debian 13, Node.js 26',
  'Windows on Wine 10, Node.js 26',
] as const

export type Trial = (typeof TRIALS)[number]

/** Replaces the row of a trial. */
export async function recordTrial(trial: Trial, node: string, counts: Counts): Promise<void> {
  const text = await readFile(PAGE, 'utf8')
  await writeFile(PAGE, withRow(text, trial, node, counts, new Date()))
}

/** @throws an error if the page has no row of this trial */
export function withRow(text: string, trial: Trial, node: string, counts: Counts, now: Date): string {
  const { passed, failed, skipped } = counts
  const cells = [trial, node, passed, failed, skipped, manifest.version, now.toISOString().slice(0, 10)]
  const row = `| ${cells.join(' | ')} |`
  const lines = text.split('\n')
  const index = lines.findIndex((line) => line.startsWith(`| ${trial} |`))
  if (index < 0) throw new Error(`docs/platform-status.md has no row «${trial}»`)
  return [...lines.slice(0, index), row, ...lines.slice(index + 1)].join('\n')
}
