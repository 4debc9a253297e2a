// What the broker's core stands on: the way to Clerk, the limits and the memory of what was used. With a Redis the copies
// share all three.
import type { Clock } from '../host/clock.ts'
import type { ClerkCalls } from './clerk-calls.ts'
import { clerkHttp } from './clerk-http.ts'
import { type ClerkPool, createClerkPool } from './clerk-pool.ts'
import { BrokerError } from './errors.ts'
import { createLimits, type Limits } from './limits.ts'
import type { BrokerMetrics } from './metrics.ts'
import type { BrokerOptions } from './options.ts'
import { RedisSingleUse } from './redis.ts'
import { MemorySingleUse, type SingleUse } from './single-use.ts'

export interface Resources {
  readonly pool: ClerkPool
  readonly limits: Limits
  readonly singleUse: SingleUse
}

const CLERK_API = 'https://api.clerk.com'
const MAX_RUNNING = 64 // requests to Clerk, each with a connection
const MAX_WAITING = 256
// Clerk allows a live instance 1,000 requests in ten seconds and a test instance 100: the rest is for other programs.
const CLERK_BUDGET = { live: 900, test: 90 }
const PER_MINUTE = { user: 60, address: 3000 } // an office of a thousand designers shares one address

export function createResources(options: BrokerOptions, clock: Clock): Resources {
  const { secretKey, apiUrl = CLERK_API, redis, monitor } = options
  const calls = options.calls ?? clerkHttp({ secretKey, apiUrl, maxConnections: MAX_RUNNING })
  const perMinute = {
    user: options.requestsPerMinute ?? PER_MINUTE.user,
    address: options.requestsPerMinuteOfAddress ?? PER_MINUTE.address,
  }
  const ownSingleUse = new MemorySingleUse(clock)
  return {
    pool: createClerkPool(monitor ? measured(calls, monitor.metrics, clock) : calls, {
      maxRunning: MAX_RUNNING,
      maxWaiting: MAX_WAITING,
      requestsIn10Seconds: options.clerkRequestsIn10Seconds ?? budgetOf(secretKey),
      clock,
      ...(redis ? { redis: redis.client } : {}),
    }),
    limits: options.limits ?? createLimits(perMinute, options.keys[0] ?? new Uint8Array(), clock, redis?.client),
    singleUse: options.singleUse ?? (redis ? new RedisSingleUse(redis.client, ownSingleUse) : ownSingleUse),
  }
}

function budgetOf(secretKey: string): number {
  return secretKey.startsWith('sk_test_') ? CLERK_BUDGET.test : CLERK_BUDGET.live
}

function measured(calls: ClerkCalls, metrics: BrokerMetrics, clock: Clock): ClerkCalls {
  return async (request, signal) => {
    const startedAt = clock.monotonic()
    const report = (result: string) => metrics.clerkRequest(request.operation, result, clock.monotonic() - startedAt)
    try {
      const response = await calls(request, signal)
      report(String(response.status))
      return response
    } catch (error) {
      report(error instanceof BrokerError ? error.reason : signal.aborted ? 'timeout' : 'network')
      throw error
    }
  }
}
