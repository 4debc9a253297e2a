// One day of a whole fleet: people call, real daemons answer from memory or ask Clerk, and everything is counted.
import type { Authenticator } from '../../src/session/authenticator.ts'
import { InteractionRequiredError } from '../../src/session/errors.ts'
import { Chance, randomOf } from './chance.ts'
import { Clerk, newAccount, type Outage, type Way } from './clerk.ts'
import { MachineClock, MIDNIGHT } from './machine-clock.ts'
import { newMember } from './member.ts'
import { PerSecond } from './per-second.ts'
import { Timeline } from './timeline.ts'
import { type Spell, workday } from './workday.ts'

const DAY = 86_400
const WORKING = 0.5 // share of people who work with CADZERO today; the others' daemons run as well
const GAP = 30 // s; between the add-in's bursts of calls, on average
const LARGEST_BURST = 3
// Share of a token's life in which it is not renewed, whoever asks: making those calls would only take time.
const SURE = 0.75

export interface FleetOptions {
  readonly daemons: number
  /** The number of the first of them, where they are a part of a larger fleet. */
  readonly first?: number
  readonly seed: number
  readonly way: Way
  /** Seconds that a token lives. */
  readonly lifetime: number
  /** Requests to Clerk's Backend API in a window; infinite to see what a fleet asks for. */
  readonly limit: number
  readonly outage: Outage | undefined
  /** Makes even those calls that memory is sure to answer. Slower, and comes to the same; a test says so. */
  readonly everyCall?: boolean
}

export interface Day {
  readonly working: number
  readonly idle: number
  /** Refreshes asked for, each second. */
  readonly requests: Uint32Array
  /** Requests to Clerk's Backend API, each second. */
  readonly apiCalls: Uint32Array
  /** Refreshes that ended with a 429, each second. */
  readonly refused: Uint32Array
  /** Callers' calls that ended with an error, each second. */
  readonly errors: Uint32Array
  readonly calls: number
  /** Callers' calls that were not answered from memory. */
  readonly waited: number
  readonly requestsOfWorking: number
  readonly requestsOfIdle: number
  /** The most that one working person's daemon asked for, for each token lifetime at the desk. */
  readonly mostPerLifetime: number
  /** Seconds between two tokens of the same person, at the least. */
  readonly shortestInterval: number
  /** People who were waiting for a token when the outage ended. */
  readonly waiting: number
  readonly signedOut: number
}

const BATCH = 500 // daemons whose memory fits into a processor's cache

/** Daemons that share no limit know nothing of each other: a few at a time comes to the same, and is twice as fast. */
export async function simulate(options: FleetOptions): Promise<Day> {
  const { daemons, first = 0, way, limit } = options
  if (way === 'broker' && Number.isFinite(limit)) return await new Fleet(options).run()
  let total: Day | undefined
  for (let done = 0; done < daemons; done += BATCH) {
    const day = await new Fleet({ ...options, first: first + done, daemons: Math.min(BATCH, daemons - done) }).run()
    total = total ? together(total, day) : day
  }
  if (!total) throw new Error('a fleet has daemons')
  return total
}

function together(a: Day, b: Day): Day {
  const each = (one: Uint32Array, other: Uint32Array) => one.map((count, second) => count + (other[second] as number))
  return {
    working: a.working + b.working,
    idle: a.idle + b.idle,
    requests: each(a.requests, b.requests),
    apiCalls: each(a.apiCalls, b.apiCalls),
    refused: each(a.refused, b.refused),
    errors: each(a.errors, b.errors),
    calls: a.calls + b.calls,
    waited: a.waited + b.waited,
    requestsOfWorking: a.requestsOfWorking + b.requestsOfWorking,
    requestsOfIdle: a.requestsOfIdle + b.requestsOfIdle,
    mostPerLifetime: Math.max(a.mostPerLifetime, b.mostPerLifetime),
    shortestInterval: Math.min(a.shortestInterval, b.shortestInterval),
    waiting: a.waiting + b.waiting,
    signedOut: a.signedOut + b.signedOut,
  }
}

type Streams = [Chance, Chance, Chance]

class Fleet {
  readonly #options: FleetOptions
  readonly #timeline = new Timeline()
  readonly #clerk: Clerk
  readonly #errors = new PerSecond()
  readonly #requests: Uint32Array
  readonly #workSeconds: Float64Array
  readonly #failing: Uint8Array
  readonly #members: Authenticator[] = []
  #calls = 0
  #waited = 0
  #waiting = 0
  #signedOut = 0

  constructor(options: FleetOptions) {
    const { way, lifetime, limit, outage, daemons } = options
    this.#options = options
    this.#clerk = new Clerk({ way, lifetime, limit, outage, timeline: this.#timeline })
    this.#requests = new Uint32Array(daemons)
    this.#workSeconds = new Float64Array(daemons)
    this.#failing = new Uint8Array(daemons)
  }

  async run(): Promise<Day> {
    const { daemons, outage } = this.#options
    for (let person = 0; person < daemons; person++) this.#add(person)
    if (outage) {
      this.#timeline.at(outage.end, () => {
        this.#waiting = this.#failing.reduce((total, one) => total + one, 0)
      })
    }
    await this.#timeline.run(DAY)
    for (const member of this.#members) if (member.status().state !== 'signed_in') this.#signedOut++
    return this.#day()
  }

  #add(person: number): void {
    const { seed, lifetime, first = 0 } = this.#options
    // A stream each for the person, the network and the daemon: what one draws is nothing to the others.
    const [chance, network, jitter] = [0, 1, 2].map((one) => new Chance(seed, 3 * (first + person) + one)) as Streams
    const clock = new MachineClock(this.#timeline)
    // What people had yesterday: a token from the first call, or, where it did not live that long, a dead one.
    const receivedAt = MIDNIGHT - DAY + (lifetime === DAY ? chance.around(9 * 3600, 1440) : 17 * 3600)
    const member = newMember({
      account: newAccount(first + person, network),
      clerk: this.#clerk,
      clock,
      random: randomOf(jitter),
      accessToken: { value: 't0', receivedAt, lifetime },
      onRequest: () => {
        this.#requests[person] = (this.#requests[person] as number) + 1
      },
    })
    this.#members.push(member)
    if (chance.unit() < WORKING) this.#work(person, member, clock, chance)
    else this.#idle(member, chance)
  }

  /** Nobody uses CADZERO here; the daemon is started all the same, and somebody looks at its status now and then. */
  #idle(member: Authenticator, chance: Chance): void {
    const start = chance.around(9 * 3600, 1440)
    this.#timeline.at(start, () => void member.load())
    for (const hours of [1, 4]) this.#timeline.at(start + hours * 3600, () => void member.status())
  }

  #work(person: number, member: Authenticator, clock: MachineClock, chance: Chance): void {
    const { lifetime, everyCall = false } = this.#options
    const timeline = this.#timeline
    const { spells, workSeconds } = workday(chance)
    this.#workSeconds[person] = workSeconds
    let index = 0
    const first = spells[index]
    if (!first) return
    let spell: Spell = first
    /** The next burst at or after `time`; bursts until `surely` are answered from memory whatever happens. */
    const goOn = (time: number, surely: number) => {
      for (let at = time; ; at += chance.exponential(GAP)) {
        if (at >= spell.end) {
          const next = spells[++index]
          if (!next) return
          spell = next
          timeline.at(spell.start, begin)
          return
        }
        if (at >= surely) {
          timeline.at(at, burst)
          return
        }
        this.#calls += burstSize(chance)
      }
    }
    const begin = () => {
      clock.woke(spell.slept)
      burst()
    }
    const burst = () => {
      let surely = 0
      for (let call = burstSize(chance); call > 0; call--) {
        this.#calls++
        const header = member.serveFromMemory()
        if (header === undefined || header instanceof Promise) this.#wait(person, member)
        else if (!everyCall) surely = header.expiresAt - MIDNIGHT - lifetime * (1 - SURE)
      }
      goOn(timeline.now + chance.exponential(GAP), surely)
    }
    timeline.at(spell.start, begin)
  }

  #wait(person: number, member: Authenticator): void {
    this.#waited++
    member.authHeader(undefined, false).then(
      () => {
        this.#failing[person] = 0
      },
      (error: unknown) => {
        this.#failing[person] = 1
        this.#errors.add(this.#timeline.now)
        if (error instanceof InteractionRequiredError) this.#signedOut++
      },
    )
  }

  #day(): Day {
    const { lifetime } = this.#options
    let working = 0
    let requestsOfWorking = 0
    let requestsOfIdle = 0
    let mostPerLifetime = 0
    for (const [person, seconds] of this.#workSeconds.entries()) {
      const requests = this.#requests[person] as number
      if (seconds === 0) {
        requestsOfIdle += requests
        continue
      }
      working++
      requestsOfWorking += requests
      mostPerLifetime = Math.max(mostPerLifetime, requests / Math.ceil(seconds / lifetime))
    }
    return {
      working,
      idle: this.#options.daemons - working,
      requests: this.#clerk.requests.counts,
      apiCalls: this.#clerk.apiCalls.counts,
      refused: this.#clerk.refused.counts,
      errors: this.#errors.counts,
      calls: this.#calls,
      waited: this.#waited,
      requestsOfWorking,
      requestsOfIdle,
      mostPerLifetime,
      shortestInterval: this.#clerk.shortestInterval,
      waiting: this.#waiting,
      signedOut: this.#signedOut,
    }
  }
}

/** The add-in asks for several things at once. */
function burstSize(chance: Chance): number {
  return 1 + Math.floor(chance.unit() * LARGEST_BURST)
}
