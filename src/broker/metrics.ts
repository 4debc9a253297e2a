// What the broker counts, for Prometheus. Labels have values from closed lists: no address, user or session.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ClerkOperation } from './clerk-calls.ts'

export interface RequestMeasure {
  /** A path that the broker serves, or `other`. */
  readonly route: string
  readonly status: number
  /** The reason in the log, or `ok`. */
  readonly result: string
  readonly seconds: number
}

/** Values that are read when Prometheus asks. */
export interface Readings {
  readonly inFlight: () => number
  readonly clerkRunning: () => number
  readonly clerkWaiting: () => number
  readonly isClerkAvailable: () => boolean
  /** Seconds that this computer's clock is ahead of Clerk's; undefined before Clerk's first answer. */
  readonly clockOffset: () => number | undefined
  /** Undefined without a Redis. */
  readonly isRedisUp: (() => boolean) | undefined
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const PREFIX = 'cadzero_broker_'

export class BrokerMetrics {
  readonly #registry = new Registry()
  readonly #requests: Counter<'route' | 'status' | 'result'>
  readonly #durations: Histogram<'route'>
  readonly #clerkRequests: Counter<'operation' | 'result'>
  readonly #clerkDurations: Histogram<'operation'>
  readonly #limited: Counter<'limit'>

  constructor() {
    const registers = [this.#registry]
    const labelNames = ['route', 'status', 'result'] as const
    this.#requests = new Counter({ name: `${PREFIX}requests_total`, help: 'Requests answered', labelNames, registers })
    this.#durations = new Histogram({
      name: `${PREFIX}request_duration_seconds`,
      help: 'Time from a request to its answer',
      labelNames: ['route'],
      buckets: SECONDS,
      registers,
    })
    this.#clerkRequests = new Counter({
      name: `${PREFIX}clerk_requests_total`,
      help: 'Requests sent to Clerk, by status or reason of failure',
      labelNames: ['operation', 'result'],
      registers,
    })
    this.#clerkDurations = new Histogram({
      name: `${PREFIX}clerk_request_duration_seconds`,
      help: 'Time from a request to Clerk to its answer',
      labelNames: ['operation'],
      buckets: SECONDS,
      registers,
    })
    this.#limited = new Counter({
      name: `${PREFIX}limited_total`,
      help: 'Requests refused by a limit',
      labelNames: ['limit'],
      registers,
    })
  }

  request({ route, status, result, seconds }: RequestMeasure): void {
    this.#requests.inc({ route, status, result })
    this.#durations.observe({ route }, seconds)
  }

  /** @param result the status of Clerk's answer, or the reason why there was none */
  clerkRequest(operation: ClerkOperation, result: string, seconds: number): void {
    this.#clerkRequests.inc({ operation, result })
    this.#clerkDurations.observe({ operation }, seconds)
  }

  limited(limit: 'user' | 'address' | 'clerk' | 'load'): void {
    this.#limited.inc({ limit })
  }

  watch({ inFlight, clerkRunning, clerkWaiting, isClerkAvailable, clockOffset, isRedisUp }: Readings): void {
    this.#gauge('in_flight', 'Requests that are being answered', inFlight)
    this.#gauge('clerk_in_flight', 'Requests to Clerk that run', clerkRunning)
    this.#gauge('clerk_waiting', 'Requests to Clerk that wait for others', clerkWaiting)
    this.#gauge('clerk_available', '0 while no requests are sent to Clerk', () => Number(isClerkAvailable()))
    this.#gauge('clock_offset_seconds', 'How far this clock is ahead of Clerk’s', () => clockOffset() ?? Number.NaN)
    if (isRedisUp) this.#gauge('redis_up', '0 while Redis does not respond', () => Number(isRedisUp()))
  }

  /** Also measures the process: memory, CPU, the delay of the event loop. */
  watchProcess(): void {
    collectDefaultMetrics({ register: this.#registry })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** The text format of Prometheus. */
  async text(): Promise<string> {
    return await this.#registry.metrics()
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name: `${PREFIX}${name}`,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read())
      },
    })
  }
}
