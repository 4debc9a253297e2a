// The fleet simulation: a day of 100,000 daemons against Clerk's limits, by the real refresh policy on a virtual clock.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { brokenBy } from './simulate/invariants.ts'
import { pageOf } from './simulate/page.ts'
import { plotOf } from './simulate/plot.ts'
import {
  BROKER_LIFETIMES,
  capacityOf,
  demandOptions,
  optionsOf,
  type Result,
  type Scenario,
  scenariosOf,
} from './simulate/scenarios.ts'
import { type Capacity, count, footnote, lifetimeName, plainTable } from './simulate/table.ts'
import { playAll } from './simulate/threads.ts'

const DOCS = fileURLToPath(new URL('../docs', import.meta.url))
const SAMPLE = 20_000 // people tell what people ask for

const { values } = parseArgs({
  options: {
    daemons: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    write: { type: 'boolean', default: false },
  },
})
const daemons = Number(values.daemons)
const seed = Number(values.seed)
if (!Number.isSafeInteger(daemons) || daemons < 1 || !Number.isSafeInteger(seed)) {
  process.stderr.write('error: --daemons and --seed take whole numbers\n')
  process.exit(2)
}

const say = (text: string) => void process.stdout.write(`${text}\n`)
const seconds = () => `${Math.round(performance.now() / 1000)} s`

const capacities = await measureCapacities()
const results = await playScenarios()
say(`\n${plainTable(results)}\n${footnote(results) ?? ''}\n`)
for (const { lifetime, daemons } of capacities) {
  say(
    `one instance of Clerk carries ${count(daemons)} daemons with tokens of ${lifetimeName(lifetime)} from the broker`,
  )
}
const broken = results.flatMap(brokenBy)
say(broken.length === 0 ? '\neverything that must hold does' : `\n${broken.map((one) => `broken: ${one}`).join('\n')}`)
if (values.write) await writeDocs()
say(`${seconds()}, ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`)
process.exitCode = broken.length === 0 ? 0 : 1

async function measureCapacities(): Promise<Capacity[]> {
  const sample = Math.min(SAMPLE, daemons)
  const fleets = BROKER_LIFETIMES.map((lifetime) => demandOptions(lifetime, sample, seed))
  const days = await playAll(fleets, () => undefined)
  say(`${seconds()}: what ${count(sample)} daemons ask for without a limit`)
  return days.map((day, i) => ({ lifetime: BROKER_LIFETIMES[i] ?? 0, daemons: capacityOf(sample, day) }))
}

async function playScenarios(): Promise<Result[]> {
  const scenarios: Scenario[] = scenariosOf(daemons)
  // Where the fleet is too large for 60 s and the broker: as many as do fit, to see that they do.
  const fitting = capacities[0]?.daemons ?? 0
  if (fitting < daemons) scenarios.push({ way: 'broker', lifetime: 60, daemons: fitting, oneIn: 1, fits: true })
  const fleets = scenarios.map((scenario) => optionsOf(scenario, seed))
  const days = await playAll(fleets, (_, i) => {
    const { way, lifetime, daemons } = scenarios[i] as Scenario
    say(`${seconds()}: ${way}, tokens of ${lifetimeName(lifetime)}, ${count(daemons)} daemons`)
  })
  return scenarios
    .map((scenario, i) => ({ ...scenario, day: days[i] as Result['day'] }))
    .sort((a, b) => b.way.localeCompare(a.way) || a.lifetime - b.lifetime || b.daemons - a.daemons)
}

async function writeDocs(): Promise<void> {
  await mkdir(DOCS, { recursive: true })
  await writeFile(join(DOCS, 'fleet.svg'), plotOf(results))
  await writeFile(join(DOCS, 'fleet.md'), pageOf(results, capacities))
}
