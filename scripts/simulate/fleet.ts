// Simulates one day of a whole fleet: users call, real daemons respond from memory or refresh at Clerk, and every event is counted.
import type { Authenticator } from '../../src/session/authenticator.ts'
import { InteractionRequiredError } from '../../src/session/errors.ts'
import { Clerk, newAccount, type Outage, type RefreshMethod } from './clerk.ts'
import { newDaemon } from './daemon.ts'
import { MachineClock, MIDNIGHT } from './machine-clock.ts'
import { PerSecond } from './per-second.ts'
import { RandomStream } from './random-stream.ts'
import { Timeline } from './timeline.ts'
import { type Spell, workday } from './workday.ts'

const DAY = 86_400
const WORKING_SHARE = 0.5 // of the users work with CADZERO today; the daemons of the others run as well
const MEAN_GAP = 30 // s between two bursts of calls of the add-in
const LARGEST_BURST = 3 // calls
// Until this share of its lifetime a token is never refreshed. Simulating the calls in that time would change no result.
const FRESH_SHARE = 0.75

export interface FleetOptions {
  readonly daemons: number
  /** The number of the first daemon, if these daemons are a part of a larger fleet. */
  readonly first?: number
  readonly seed: number
  readonly method: RefreshMethod
  /** The lifetime of a token in seconds. */
  readonly lifetime: number
  /** Requests to Clerk's Backend API that are allowed in a window; infinite to measure the demand. */
  readonly rateLimit: number
  readonly outage: Outage | undefined
  /** Also makes the calls that memory certainly answers. Slower, with the same result, which a test confirms. */
  readonly everyCall?: boolean
}

export interface Day {
  readonly workingUsers: number
  readonly idleUsers: number
  /** Refresh requests in each second. */
  readonly requests: Uint32Array
  /** Requests to Clerk's Backend API in each second. */
  readonly apiCalls: Uint32Array
  /** Refresh requests with the response 429 in each second. */
  readonly rateLimited: Uint32Array
  /** Failed calls of clients in each second. */
  readonly errors: Uint32Array
  readonly calls: number
  /** Calls that were not answered from memory. */
  readonly waitedCalls: number
  readonly requestsOfWorkingUsers: number
  readonly requestsOfIdleUsers: number
  /** The highest number of refresh requests for one working user per token lifetime at the desk. */
  readonly mostPerLifetime: number
  /** The shortest time between two tokens of the same user, in seconds. */
  readonly shortestInterval: number
  /** Users whose last call had failed when the outage ended. */
  readonly waitingUsers: number
  readonly signedOutUsers: number
}

const BATCH = 500 // daemons whose memory fits into a processor's cache

/** Daemons without a common rate limit do not affect each other: batches give the same result in half of the time. */
export async function simulate(options: FleetOptions): Promise<Day> {
  const { daemons, first = 0, method, rateLimit } = options
  if (method === 'broker' && Number.isFinite(rateLimit)) return await new Fleet(options).run()
  let total: Day | undefined
  for (let done = 0; done < daemons; done += BATCH) {
    const day = await new Fleet({ ...options, first: first + done, daemons: Math.min(BATCH, daemons - done) }).run()
    total = total ? add(total, day) : day
  }
  if (!total) throw new Error('a fleet has at least one daemon')
  return total
}

function add(a: Day, b: Day): Day {
  const each = (one: Uint32Array, other: Uint32Array) => one.map((count, second) => count + (other[second] as number))
  return {
    workingUsers: a.workingUsers + b.workingUsers,
    idleUsers: a.idleUsers + b.idleUsers,
    requests: each(a.requests, b.requests),
    apiCalls: each(a.apiCalls, b.apiCalls),
    rateLimited: each(a.rateLimited, b.rateLimited),
    errors: each(a.errors, b.errors),
    calls: a.calls + b.calls,
    waitedCalls: a.waitedCalls + b.waitedCalls,
    requestsOfWorkingUsers: a.requestsOfWorkingUsers + b.requestsOfWorkingUsers,
    requestsOfIdleUsers: a.requestsOfIdleUsers + b.requestsOfIdleUsers,
    mostPerLifetime: Math.max(a.mostPerLifetime, b.mostPerLifetime),
    shortestInterval: Math.min(a.shortestInterval, b.shortestInterval),
    waitingUsers: a.waitingUsers + b.waitingUsers,
    signedOutUsers: a.signedOutUsers + b.signedOutUsers,
  }
}

type Streams = [RandomStream, RandomStream, RandomStream]

class Fleet {
  readonly #options: FleetOptions
  readonly #timeline = new Timeline()
  readonly #clerk: Clerk
  readonly #errors = new PerSecond()
  readonly #daemons: Authenticator[] = []
  /** For each user: refresh requests, seconds at the desk, and 1 if the last call failed. */
  readonly #requests: Uint32Array
  readonly #workSeconds: Float64Array
  readonly #failing: Uint8Array
  #calls = 0
  #waitedCalls = 0
  #waitingUsers = 0
  #signedOutUsers = 0

  constructor(options: FleetOptions) {
    const { method, lifetime, rateLimit, outage, daemons } = options
    this.#options = options
    this.#clerk = new Clerk({ method, lifetime, rateLimit, outage, timeline: this.#timeline })
    this.#requests = new Uint32Array(daemons)
    this.#workSeconds = new Float64Array(daemons)
    this.#failing = new Uint8Array(daemons)
  }

  async run(): Promise<Day> {
    const { daemons, outage } = this.#options
    for (let user = 0; user < daemons; user++) this.#addUser(user)
    if (outage) {
      this.#timeline.at(outage.end, () => {
        this.#waitingUsers = this.#failing.reduce((total, one) => total + one, 0)
      })
    }
    await this.#timeline.run(DAY)
    for (const daemon of this.#daemons) if (daemon.status().state !== 'signed_in') this.#signedOutUsers++
    return this.#day()
  }

  #addUser(user: number): void {
    const { seed, lifetime, first = 0 } = this.#options
    // Separate streams for the user, the network and the daemon, so that one does not depend on the draws of another.
    const streams = [0, 1, 2].map((one) => new RandomStream(seed, 3 * (first + user) + one))
    const [random, network, jitter] = streams as Streams
    const clock = new MachineClock(this.#timeline)
    // Yesterday's token: a one-day token from the first call of the day, a shorter one from the last. The latter has expired.
    const receivedAt = MIDNIGHT - DAY + (lifetime === DAY ? random.normal(9 * 3600, 1440) : 17 * 3600)
    const daemon = newDaemon({
      account: newAccount(first + user, network),
      clerk: this.#clerk,
      clock,
      random: jitter.bytes,
      accessToken: { value: 't0', receivedAt, lifetime },
      onRequest: () => {
        this.#requests[user] = (this.#requests[user] as number) + 1
      },
    })
    this.#daemons.push(daemon)
    if (random.unit() < WORKING_SHARE) this.#work(user, daemon, clock, random)
    else this.#idle(daemon, random)
  }

  /** The user does not work with CADZERO. The daemon starts all the same, and a client reads its status twice. */
  #idle(daemon: Authenticator, random: RandomStream): void {
    const start = random.normal(9 * 3600, 1440)
    this.#timeline.at(start, () => void daemon.load())
    for (const hours of [1, 4]) this.#timeline.at(start + hours * 3600, () => void daemon.status())
  }

  #work(user: number, daemon: Authenticator, clock: MachineClock, random: RandomStream): void {
    const { lifetime, everyCall = false } = this.#options
    const timeline = this.#timeline
    const { spells, workSeconds } = workday(random)
    this.#workSeconds[user] = workSeconds
    let index = 0
    const first = spells[index]
    if (!first) return
    let spell: Spell = first
    /** Schedules the next burst at or after `time`. Bursts before `freshUntil` are only counted. */
    const scheduleBurst = (time: number, freshUntil: number) => {
      for (let at = time; ; at += random.exponential(MEAN_GAP)) {
        if (at >= spell.end) {
          const next = spells[++index]
          if (!next) return
          spell = next
          timeline.at(spell.start, begin)
          return
        }
        if (at >= freshUntil) {
          timeline.at(at, burst)
          return
        }
        this.#calls += burstSize(random)
      }
    }
    const begin = () => {
      clock.wakeAfter(spell.slept)
      burst()
    }
    const burst = () => {
      let freshUntil = 0
      for (let call = burstSize(random); call > 0; call--) {
        this.#calls++
        const header = daemon.serveFromMemory()
        if (header === undefined || header instanceof Promise) this.#wait(user, daemon)
        else if (!everyCall) freshUntil = header.expiresAt - MIDNIGHT - lifetime * (1 - FRESH_SHARE)
      }
      scheduleBurst(timeline.now + random.exponential(MEAN_GAP), freshUntil)
    }
    timeline.at(spell.start, begin)
  }

  #wait(user: number, daemon: Authenticator): void {
    this.#waitedCalls++
    daemon.authHeader(undefined, false).then(
      () => {
        this.#failing[user] = 0
      },
      (error: unknown) => {
        this.#failing[user] = 1
        this.#errors.add(this.#timeline.now)
        if (error instanceof InteractionRequiredError) this.#signedOutUsers++
      },
    )
  }

  #day(): Day {
    const { lifetime, daemons } = this.#options
    let workingUsers = 0
    let requestsOfWorkingUsers = 0
    let requestsOfIdleUsers = 0
    let mostPerLifetime = 0
    for (const [user, seconds] of this.#workSeconds.entries()) {
      const requests = this.#requests[user] as number
      if (seconds === 0) {
        requestsOfIdleUsers += requests
        continue
      }
      workingUsers++
      requestsOfWorkingUsers += requests
      mostPerLifetime = Math.max(mostPerLifetime, requests / Math.ceil(seconds / lifetime))
    }
    return {
      workingUsers,
      idleUsers: daemons - workingUsers,
      requests: this.#clerk.requests.counts,
      apiCalls: this.#clerk.apiCalls.counts,
      rateLimited: this.#clerk.rateLimited.counts,
      errors: this.#errors.counts,
      calls: this.#calls,
      waitedCalls: this.#waitedCalls,
      requestsOfWorkingUsers,
      requestsOfIdleUsers,
      mostPerLifetime,
      shortestInterval: this.#clerk.shortestInterval,
      waitingUsers: this.#waitingUsers,
      signedOutUsers: this.#signedOutUsers,
    }
  }
}

/** The add-in makes several calls at once. */
function burstSize(random: RandomStream): number {
  return 1 + Math.floor(random.unit() * LARGEST_BURST)
}
