// Guards Clerk and the broker from each other: how many requests are sent at once, how many in ten seconds, and none while
// Clerk is down or has asked to wait.
import {
  BrokenCircuitError,
  BulkheadRejectedError,
  bulkhead,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhenResult,
} from 'cockatiel'
import type { Clock } from '../host/clock.ts'
import type { ClerkCalls, ClerkResponse } from './clerk-calls.ts'
import { BrokerError } from './errors.ts'
import { consume, createLimiter } from './limits.ts'
import type { RedisClient } from './redis.ts'

export interface ClerkPoolOptions {
  /** Requests that run at once. */
  readonly maxRunning: number
  /** Requests that wait for one that runs; further ones are refused. */
  readonly maxWaiting: number
  /** Requests to the Backend API in ten seconds; Clerk allows a production instance 1,000. */
  readonly requestsIn10Seconds: number
  /** Counts the requests of all copies. */
  readonly redis?: RedisClient
  readonly clock: Clock
}

export interface ClerkPool {
  readonly calls: ClerkCalls
  running(): number
  waiting(): number
  /** Whether the broker sends requests: Clerk has not failed repeatedly, and has not asked to wait. */
  isAvailable(): boolean
}

const WINDOW = 10 // s; Clerk's own
const FAILURES = 10 // in a row, of any session: then Clerk is down
const OPEN_MS = 1000 // after which one request tries Clerk again
const LONGEST_PAUSE = 60 // s; a longer Retry-After is not believed
const PAUSE = 10 // s; after a 429 without Retry-After
const RETRY_AFTER = 1 // s; for requests that the pool refuses

export function createClerkPool(calls: ClerkCalls, options: ClerkPoolOptions): ClerkPool {
  const { clock } = options
  const budget = createLimiter('clerk', options.requestsIn10Seconds, WINDOW, options.redis)
  const slots = bulkhead(options.maxRunning, options.maxWaiting)
  const breaker = circuitBreaker(
    handleWhenResult((result) => (result as ClerkResponse).status >= 500).orWhen((error) => !isRefusal(error)),
    { halfOpenAfter: OPEN_MS, breaker: new ConsecutiveBreaker(FAILURES) },
  )
  let pausedUntil = 0 // of the monotonic clock

  const refuse = (reason: string, seconds = RETRY_AFTER): never => {
    throw new BrokerError('temporarily_unavailable', reason, seconds)
  }

  /** @throws BrokerError while Clerk is not to be asked */
  const admit = () => {
    const seconds = Math.ceil(pausedUntil - clock.monotonic())
    if (seconds > 0) throw new BrokerError('rate_limited', 'clerk_429', seconds)
    if (breaker.state === CircuitState.HalfOpen) refuse('clerk_down') // cockatiel would let it wait for the trial
  }

  const send: ClerkCalls = async (request, signal) => {
    admit()
    if (request.operation !== 'keys') {
      const seconds = await consume(budget, 'requests')
      if (seconds > 0) refuse('clerk_budget', seconds)
    }
    const response = await calls(request, signal)
    if (response.status === 429) {
      const seconds = Math.min(Math.max(1, response.retryAfterSeconds ?? PAUSE), LONGEST_PAUSE)
      pausedUntil = Math.max(pausedUntil, clock.monotonic() + seconds)
    }
    return response
  }

  return {
    running: () => options.maxRunning - slots.executionSlots,
    waiting: () => options.maxWaiting - slots.queueSlots,
    isAvailable: () => breaker.state === CircuitState.Closed && pausedUntil <= clock.monotonic(),
    calls: async (request, signal) => {
      admit()
      // In the queue: a circuit that has opened meanwhile refuses at once.
      const queued = slots.execute(() => breaker.execute(() => send(request, signal)), signal)
      try {
        return await unlessAborted(queued, signal)
      } catch (error) {
        if (error instanceof BulkheadRejectedError) return refuse('clerk_pool_full')
        if (error instanceof BrokenCircuitError) return refuse('clerk_down')
        throw error
      }
    },
  }
}

/** A refusal of our own says nothing of Clerk. */
function isRefusal(error: unknown): boolean {
  return error instanceof BrokerError
}

/** Rejects as soon as the signal is aborted: a request that waits is not taken out of the queue before its turn. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.finally(() => signal.removeEventListener('abort', onAbort)).then(resolve, reject)
  })
}
