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
  /** What to do about a degraded clock. */
  readonly hint?: string
}

/** What a broker tells its monitor about itself. */
export interface Sources extends Readings {
  readonly areKeysLoaded: () => boolean
  /** Whether this computer's clock and Clerk's are known to agree. */
  readonly isClockRight: () => boolean
}

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
    return {
      ready: keys === 'loaded' && !this.#isDraining,
      keys,
      draining: this.#isDraining,
      clerk: isClerkAvailable?.() ? 'ok' : 'degraded',
      redis: isRedisUp === undefined ? 'unused' : isRedisUp() ? 'ok' : 'degraded',
      clock,
      ...(clock === 'degraded' ? { hint: CLOCK_HINT } : {}),
    }
  }

  #clock(): Health['clock'] {
    if (this.#sources?.clockOffset() === undefined) return 'unknown'
    return this.#sources.isClockRight() ? 'ok' : 'degraded'
  }
}
