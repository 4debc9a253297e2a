// The fleet simulation in small: what must hold does, the same seed gives the same day, and its short cuts change nothing.
import { describe, expect, it } from 'vitest'
import { type Day, type FleetOptions, simulate } from '../../scripts/simulate/fleet.ts'
import { brokenBy } from '../../scripts/simulate/invariants.ts'
import { sum } from '../../scripts/simulate/per-second.ts'
import { findingsOf, OUTAGE, optionsOf, type Scenario } from '../../scripts/simulate/scenarios.ts'

const play = async (scenario: Scenario, more: Partial<FleetOptions> = {}) => ({
  ...scenario,
  day: await simulate({ ...optionsOf(scenario, 7), ...more }),
})

const scenarios: Scenario[] = [
  { way: 'oauth', lifetime: 60, daemons: 100, oneIn: 1 },
  { way: 'oauth', lifetime: 86_400, daemons: 100, oneIn: 1 },
  { way: 'broker', lifetime: 60, daemons: 100, oneIn: 1 },
  { way: 'broker', lifetime: 900, daemons: 100, oneIn: 1 },
]

/** Short enough to be compared, and to be shown where it differs. */
const gist = (counts: Uint32Array) =>
  [...counts.entries()]
    .filter(([, count]) => count > 0)
    .map(([second, count]) => `${second}:${count}`)
    .join(' ')
const gistOf = (day: Day) => Object.values(day).map((one) => (one instanceof Uint32Array ? gist(one) : String(one)))

describe('a small fleet', () => {
  it.each(scenarios)('by $way with tokens of $lifetime s is served, and costs what it should', async (scenario) => {
    const result = await play(scenario)
    expect(brokenBy(result)).toEqual([])
    expect(findingsOf(result).perIdleUser).toBe(0)
    expect(result.day.requestsOfWorking).toBeGreaterThan(0)
    expect(result.day.working + result.day.idle).toBe(100)
  })

  it('that is too large for the limit is refused, and nobody is signed out', async () => {
    const scenario = { way: 'broker', lifetime: 60, daemons: 100, oneIn: 1 } as const
    const result = await play(scenario, { limit: 2 })
    expect(sum(result.day.refused)).toBeGreaterThan(100)
    expect(brokenBy(result)).toEqual([])
  })

  it('has the same day again with the same seed, and by whatever short cut', async () => {
    const scenario = { way: 'oauth', lifetime: 60, daemons: 30, oneIn: 1 } as const
    const { day } = await play(scenario)
    expect(gistOf((await play(scenario)).day)).toEqual(gistOf(day))
    expect(gistOf((await play(scenario, { everyCall: true })).day)).toEqual(gistOf(day))
    expect(gistOf((await play(scenario, { seed: 8 })).day)).not.toEqual(gistOf(day))
  })

  it('comes to the same played in parts', async () => {
    const scenario = { way: 'oauth', lifetime: 900, daemons: 40, oneIn: 1 } as const
    const { day } = await play(scenario)
    const [first, second] = [
      await play({ ...scenario, daemons: 15 }),
      await play({ ...scenario, daemons: 25 }, { first: 15 }),
    ]
    const both = first.day.requests.map((one, i) => one + (second.day.requests[i] as number))
    expect(gist(both)).toBe(gist(day.requests))
  })

  it('feels the outage', async () => {
    const { day } = await play({ way: 'oauth', lifetime: 60, daemons: 100, oneIn: 1 })
    expect(sum(day.errors, OUTAGE.start, OUTAGE.end)).toBeGreaterThan(0)
    expect(sum(day.errors, 0, OUTAGE.start)).toBe(0)
  })
})
