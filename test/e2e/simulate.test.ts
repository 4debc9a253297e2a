// The fleet simulation with a small fleet: its conditions, its seed, and the shortcuts that must not change a result.
import { describe, expect, it } from 'vitest'
import { type Day, type FleetOptions, simulate } from '../../scripts/simulate/fleet.ts'
import { violationsIn } from '../../scripts/simulate/invariants.ts'
import { sum } from '../../scripts/simulate/per-second.ts'
import { findingsOf, OUTAGE, optionsOf, type Scenario } from '../../scripts/simulate/scenarios.ts'

const simulated = async (scenario: Scenario, more: Partial<FleetOptions> = {}) => ({
  ...scenario,
  day: await simulate({ ...optionsOf(scenario, 7), ...more }),
})

const scenarios: Scenario[] = [
  { method: 'oauth', lifetime: 60, daemons: 100, oneIn: 1 },
  { method: 'oauth', lifetime: 86_400, daemons: 100, oneIn: 1 },
  { method: 'broker', lifetime: 60, daemons: 100, oneIn: 1 },
  { method: 'broker', lifetime: 900, daemons: 100, oneIn: 1 },
]

/** Short enough for a readable difference. */
const nonZero = (counts: Uint32Array) =>
  [...counts.entries()]
    .filter(([, count]) => count > 0)
    .map(([second, count]) => `${second}:${count}`)
    .join(' ')

const textsOf = (day: Day) =>
  Object.entries(day).map(([name, one]) => [name, one instanceof Uint32Array ? nonZero(one) : String(one)])

describe('a small fleet', () => {
  it.each(scenarios)('meets all conditions with $method and tokens of $lifetime s', async (scenario) => {
    const result = await simulated(scenario)
    expect(violationsIn(result)).toEqual([])
    expect(findingsOf(result).perIdleUser).toBe(0)
    expect(result.day.requestsOfWorkingUsers).toBeGreaterThan(0)
    expect(result.day.workingUsers + result.day.idleUsers).toBe(100)
  })

  it('keeps all users signed in when it exceeds the rate limit', async () => {
    const scenario = { method: 'broker', lifetime: 60, daemons: 100, oneIn: 1 } as const
    const result = await simulated(scenario, { rateLimit: 2 })
    expect(sum(result.day.rateLimited)).toBeGreaterThan(100)
    expect(violationsIn(result)).toEqual([])
  })

  it('has the same day with the same seed, with and without the shortcut', async () => {
    const scenario = { method: 'oauth', lifetime: 60, daemons: 30, oneIn: 1 } as const
    const { day } = await simulated(scenario)
    expect(textsOf((await simulated(scenario)).day)).toEqual(textsOf(day))
    expect(textsOf((await simulated(scenario, { everyCall: true })).day)).toEqual(textsOf(day))
    expect(textsOf((await simulated(scenario, { seed: 8 })).day)).not.toEqual(textsOf(day))
  })

  it('has the same day in two batches', async () => {
    const scenario = { method: 'oauth', lifetime: 900, daemons: 40, oneIn: 1 } as const
    const { day } = await simulated(scenario)
    const [first, second] = [
      await simulated({ ...scenario, daemons: 15 }),
      await simulated({ ...scenario, daemons: 25 }, { first: 15 }),
    ]
    const both = first.day.requests.map((one, i) => one + (second.day.requests[i] as number))
    expect(nonZero(both)).toBe(nonZero(day.requests))
  })

  it('has failed calls in the outage and none before it', async () => {
    const { day } = await simulated({ method: 'oauth', lifetime: 60, daemons: 100, oneIn: 1 })
    expect(sum(day.errors, OUTAGE.start, OUTAGE.end)).toBeGreaterThan(0)
    expect(sum(day.errors, 0, OUTAGE.start)).toBe(0)
  })
})
