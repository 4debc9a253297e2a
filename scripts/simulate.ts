// The fleet simulation: a day of 100,000 daemons against Clerk's limits, with the real refresh policy on a virtual clock.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { violationsIn } from './simulate/invariants.ts'
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
import { simulateAll } from './simulate/threads.ts'

const DOCS = fileURLToPath(new URL('../docs', import.meta.url))
const SAMPLE = 20_000 // daemons; enough to measure the demand per daemon

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
const elapsed = () => `${Math.round(performance.now() / 1000)} s`

const capacities = await measureCapacities()
const results = await simulateScenarios()
say(`\n${plainTable(results)}\n${footnote(results) ?? ''}\n`)
for (const { lifetime, daemons } of capacities) {
  say(`one instance of Clerk supports ${count(daemons)} daemons with ${lifetimeName(lifetime)} tokens from the broker`)
}
const violations = results.flatMap(violationsIn)
say(
  violations.length === 0 ? '\nall conditions are met' : `\n${violations.map((one) => `violated: ${one}`).join('\n')}`,
)
if (values.write) await writeDocs()
say(`${elapsed()}, ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`)
process.exitCode = violations.length === 0 ? 0 : 1

async function measureCapacities(): Promise<Capacity[]> {
  const sample = Math.min(SAMPLE, daemons)
  const fleets = BROKER_LIFETIMES.map((lifetime) => demandOptions(lifetime, sample, seed))
  const days = await simulateAll(fleets, () => undefined)
  say(`${elapsed()}: demand of ${count(sample)} daemons without a rate limit`)
  return days.map((day, i) => ({ lifetime: BROKER_LIFETIMES[i] ?? 0, daemons: capacityOf(sample, day) }))
}

async function simulateScenarios(): Promise<Result[]> {
  const scenarios: Scenario[] = scenariosOf(daemons)
  // If the fleet exceeds the capacity for 60-second tokens: also a fleet of that capacity, to confirm the number.
  const capacity = capacities[0]?.daemons ?? 0
  if (capacity < daemons) scenarios.push({ method: 'broker', lifetime: 60, daemons: capacity, oneIn: 1, fits: true })
  const fleets = scenarios.map((scenario) => optionsOf(scenario, seed))
  const days = await simulateAll(fleets, (_, i) => {
    const { method, lifetime, daemons } = scenarios[i] as Scenario
    say(`${elapsed()}: ${method}, ${lifetimeName(lifetime)} tokens, ${count(daemons)} daemons`)
  })
  return scenarios
    .map((scenario, i) => ({ ...scenario, day: days[i] as Result['day'] }))
    .sort((a, b) => b.method.localeCompare(a.method) || a.lifetime - b.lifetime || b.daemons - a.daemons)
}

async function writeDocs(): Promise<void> {
  await mkdir(DOCS, { recursive: true })
  await writeFile(join(DOCS, 'fleet.svg'), plotOf(results))
  await writeFile(join(DOCS, 'fleet.md'), pageOf(results, capacities))
}
