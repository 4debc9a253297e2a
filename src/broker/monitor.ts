// What the operator sees of a running broker: whether it is ready, what is degraded, and its metrics.
import type { BrokerLogFields } from './log-fields.ts'
import { BrokerMetrics, type Readings } from './metrics.ts'

export interface Health {
  /** Whether a load balancer may send requests. An outage of Clerk or Redis does not change it: it would drain all copies. */
  readonly ready: boolean
  readonly keys: 'loaded' | 'missing'
  readonly draining: boolean
  readonly clerk: 'ok' | 'degraded'
  readonly redis: 'ok' | 'degraded' | 'unused'
  readonly clock: 'ok' | 'degraded' | 'unknown'
  /** What to do about what is missing or degraded. */
  readonly hint?: string
}

/** What a broker tells its monitor about itself. */
export interface Sources extends Readings {
  readonly areKeysLoaded: () => boolean
  /** Whether this computer's clock and Clerk's are known to agree. */
  readonly isClockRight: () => boolean
}

const KEYS_HINT =
  'let this computer reach Clerk’s Backend API (CLERK_API_URL, a firewall, a proxy): the keys could not be fetched'
const CLERK_HINT =
  'see the metric cadzero_broker_clerk_requests_total and https://status.clerk.com: requests to Clerk fail'
export const REDIS_HINT =
  'compare CADZERO_BROKER_REDIS_URL with the address, the password and TLS of the Redis, and see its log'
export const CLOCK_HINT = 'set the clock of this computer, and let a time server keep it; compare it with: date -u'

const LIMITS: Readonly<Record<string, 'user' | 'address' | 'clerk'>> = {
  too_many_requests: 'user',
  too_many_requests_of_address: 'address',
  clerk_budget: 'clerk',
}

export class Monitor {
  readonly metrics = new BrokerMetrics()
  #sources: Sources | undefined
  #isDraining = false

  /** Called once, by the broker. */
  watch(sources: Sources): void {
    this.#sources = sources
    this.metrics.watch(sources)
  }

  /** Counts a request by its line in the log. */
  record({ route = 'other', status, reason = 'ok', ms }: BrokerLogFields): void {
    if (ms === undefined) return
    this.metrics.request({ route, status, result: reason, seconds: ms / 1000 })
    const limit = LIMITS[reason]
    if (limit) this.metrics.limited(limit)
  }

  /** From now on the broker is not ready. */
  drain(): void {
    this.#isDraining = true
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  health(): Health {
    const { areKeysLoaded, isClerkAvailable, isRedisUp } = this.#sources ?? {}
    const clock = this.#clock()
    const keys = areKeysLoaded?.() ? 'loaded' : 'missing'
    const clerk = isClerkAvailable?.() ? 'ok' : 'degraded'
    const redis = isRedisUp === undefined ? 'unused' : isRedisUp() ? 'ok' : 'degraded'
    const hints = [
      ...(keys === 'missing' ? [KEYS_HINT] : []),
      ...(clerk === 'degraded' ? [CLERK_HINT] : []),
      ...(redis === 'degraded' ? [REDIS_HINT] : []),
      ...(clock === 'degraded' ? [CLOCK_HINT] : []),
    ]
    return {
      ready: keys === 'loaded' && !this.#isDraining,
      keys,
      draining: this.#isDraining,
      clerk,
      redis,
      clock,
      ...(hints.length > 0 ? { hint: hints.join('; ') } : {}),
    }
  }

  #clock(): Health['clock'] {
    if (this.#sources?.clockOffset() === undefined) return 'unknown'
    return this.#sources.isClockRight() ? 'ok' : 'degraded'
  }
}
