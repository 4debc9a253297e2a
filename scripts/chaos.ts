// The chaos runner: scenarios that need kills, broken disks, another user, a mount or minutes. No session may be lost.
import { rmSync } from 'node:fs'
import { chmod, cp, mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { systemClock } from '../src/host/clock.ts'
import { withTimeout } from '../src/host/timeout.ts'
import { seededRandom } from '../test/support/rounds.ts'
import { newRunFolder } from './bench/run-folder.ts'
import { options as bundle } from './bundle.ts'
import { disk } from './chaos/disk.ts'
import { ends } from './chaos/ends.ts'
import { kills } from './chaos/kills.ts'
import { load } from './chaos/load.ts'
import { processes } from './chaos/processes.ts'
import { refreshWindow } from './chaos/refresh-window.ts'
import { type Chaos, missing, type Scenario } from './chaos/scenario.ts'
import { type Line, tableOf } from './chaos/table.ts'

const SCENARIOS: readonly Scenario[] = [...kills, ...refreshWindow, ...disk, ...processes, ...ends, ...load]
const GRACE_SECONDS = 60 // for the trial that a scenario has begun when its time is over
const SHOWN_LOSSES = 5 // of one scenario

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', multiple: true },
    rounds: { type: 'string', default: 'short' },
    seed: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
})
const say = (text: string) => void process.stdout.write(`${text}\n`)
const fail = (text: string): never => {
  process.stderr.write(`error: ${text}\n`)
  process.exit(2)
}

if (values.list) {
  for (const { name, about } of SCENARIOS) say(`${name.padEnd(18)} ${about}`)
  process.exit(0)
}
const wanted = values.scenario ?? SCENARIOS.map(({ name }) => name)
const chosen = SCENARIOS.filter(({ name }) => wanted.some((one) => name === one || name.startsWith(`${one}-`)))
if (chosen.length === 0) fail('unknown scenario; run with --list to see all')
if (!/^(short|full|[1-9]\d*)$/.test(values.rounds)) fail('--rounds takes short, full or a number')
const isShort = values.rounds === 'short'
const { seed } = seededRandom(values.seed === undefined ? undefined : Number(values.seed))

const runFolder = newRunFolder('chaos')
const root = runFolder.path
await chmod(root, 0o755) // some scenarios run programs as another user
const program = await copyOfProgram()
await Promise.all(['writer', 'starter', 'callers'].map(bundleHelper))

say(`Node ${process.version}, ${availableParallelism()} processors; seed ${seed}, ${values.rounds} rounds`)
const lines: Line[] = []
for (const scenario of chosen) lines.push(await run(scenario))
say(`\n${tableOf(lines)}`)
await runFolder.end()
process.exit(lines.some(({ lost }) => lost > 0) ? 1 : 0)

async function run(scenario: Scenario): Promise<Line> {
  const { name } = scenario
  const skipped = missing(scenario.needs)
  if (skipped !== undefined) return { name, trials: 0, lost: 0, figures: '', seconds: 0, skipped }
  const seconds = isShort ? scenario.seconds.short : scenario.seconds.full
  const folder = join(root, name)
  await mkdir(folder)
  await chmod(folder, 0o755)
  const startedAt = performance.now()
  const undo: (() => unknown)[] = []
  let [trials, lost] = [0, 0]
  const chaos: Chaos = {
    random: seededRandom(seedOf(name)),
    rounds: roundsOf(scenario),
    isShort,
    folder,
    program,
    helper: (one) => join(root, 'program', `${one}.cjs`),
    isOver: () => performance.now() - startedAt > seconds * 1000,
    countTrials: (count = 1) => {
      trials += count
    },
    lost(what) {
      if (++lost <= SHOWN_LOSSES) say(`LOST in ${name}: ${what}`)
    },
    after: (one) => void undo.push(one),
  }
  let figures = ''
  try {
    const timeoutError = () => new Error('the scenario did not end in time')
    figures = await withTimeout(systemClock, seconds + GRACE_SECONDS, scenario.run(chaos), timeoutError)
  } catch (error) {
    chaos.lost(error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  for (const one of undo.reverse()) {
    try {
      await one()
    } catch (error) {
      chaos.lost(`clean-up: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  rmSync(folder, { recursive: true, force: true })
  const line = { name, trials, lost, figures, seconds: (performance.now() - startedAt) / 1000 }
  say(`${name}: ${trials} trials, ${lost} lost, ${line.seconds.toFixed(1)} s; ${figures}`)
  return line
}

function roundsOf({ rounds }: Scenario): number {
  if (values.rounds === 'short') return rounds.short
  return values.rounds === 'full' ? rounds.full : Number(values.rounds)
}

/** A seed per scenario, so that it does the same alone and together with the others. */
function seedOf(name: string): number {
  return [...name].reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) | 0, seed)
}

/** Copies the program, since a build during the run would replace its files. */
async function copyOfProgram(): Promise<string> {
  const copy = join(root, 'program')
  await cp(fileURLToPath(new URL('../dist', import.meta.url)), join(copy, 'dist'), { recursive: true })
  await writeFile(join(copy, 'package.json'), '{ "type": "module" }\n')
  return join(copy, 'dist', 'cadzero-auth.cjs')
}

async function bundleHelper(name: string): Promise<void> {
  const entry = fileURLToPath(new URL(`chaos/${name}.ts`, import.meta.url))
  const logOverride = { 'empty-import-meta': 'error' } as const // a helper that needs import.meta would fail only when it runs
  await build({ ...bundle, logOverride, entryPoints: [entry], outfile: join(root, 'program', `${name}.cjs`) })
}
