// Begins a bench: its options, and its folder. A bench ends with exit code 0 on any machine, and names what it could not measure.
import { parseArgs } from 'node:util'
import { newRunFolder, type RunFolder } from './run-folder.ts'

const MAX_RUN_MS = 600_000

export interface Bench {
  readonly quick: boolean
  readonly runFolder: RunFolder
}

/**
 * @param script the name in package.json, such as `bench:broker`
 * @param onLate is called if the time of a run is over: prints what was measured by then
 */
export function beginBench(script: string, { hasQuick = true, onLate = () => {} } = {}): Bench {
  const usage = `usage: npm run ${script}${hasQuick ? ' [-- --quick]' : ''}\n`
  return { ...optionsOf(usage, hasQuick), runFolder: newRunFolder('bench', { maxMs: MAX_RUN_MS, onLate }) }
}

function optionsOf(usage: string, hasQuick: boolean): { readonly quick: boolean } {
  try {
    const { values } = parseArgs({ options: { help: { type: 'boolean' }, quick: { type: 'boolean' } } })
    if (values.help === true) {
      process.stdout.write(usage)
      process.exit()
    }
    if (values.quick === true && !hasQuick) throw new Error("unknown option '--quick'")
    return { quick: values.quick === true }
  } catch (error) {
    process.stderr.write(`error: ${reasonOf(error)}\n${usage}`)
    process.exit(2)
  }
}

/** A row that this machine cannot measure says why. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
