// What Clerk's Backend API tells of an instance, and the one thing in it that we change: for the developer's `doctor --clerk`.
import { createClerkClient } from '@clerk/backend'
import { isClerkAPIResponseError } from '@clerk/backend/errors'
import type { Clock } from '../host/clock.ts'
import { withDeadline } from './deadline.ts'

export interface InstanceOptions {
  /** `sk_…`: all of the instance's power. It is used, and neither kept nor shown. */
  readonly secretKey: string
  readonly apiUrl: string
  readonly clock: Clock
}

export interface Template {
  readonly name: string
  /** Seconds. */
  readonly lifetime: number
  /** Whether it signs with a key of its own, which Clerk does not show. */
  readonly hasOwnKey: boolean
}

export interface SessionLimits {
  /** Seconds from its start after which the session ends, whatever happens. */
  readonly maximum: number
  /** Seconds without activity after which it ends; as far as it can be told, it is then less than the maximum. */
  readonly inactivity: number
}

export type InstanceProblem = 'wrong_key' | 'unreachable' | 'rate_limited' | 'server' | 'refused'

/** Clerk could not be asked, or said no. Nothing of its answer is kept. */
export class InstanceError extends Error {
  constructor(readonly reason: InstanceProblem) {
    super(`Clerk's Backend API: ${reason}`)
    this.name = 'InstanceError'
  }
}

const DEADLINE = 10 // s
const MOST = 500 // templates in one answer

export class Instance {
  readonly #clerk: ReturnType<typeof createClerkClient>
  readonly #clock: Clock

  constructor({ secretKey, apiUrl, clock }: InstanceOptions) {
    this.#clerk = createClerkClient({ secretKey, apiUrl, telemetry: { disabled: true } })
    this.#clock = clock
  }

  /** `production` or `development`. @throws InstanceError */
  async environment(): Promise<string> {
    const { environmentType } = await this.#ask(() => this.#clerk.instance.get())
    return environmentType === 'production' ? 'production' : 'development'
  }

  /** @throws InstanceError */
  async templates(): Promise<readonly Template[]> {
    const { data } = await this.#ask(() => this.#clerk.jwtTemplates.list({ limit: MOST }))
    return data.map(({ name, lifetime, customSigningKey }) => ({ name, lifetime, hasOwnKey: customSigningKey }))
  }

  /** What a living session shows of its limits; undefined where there is no such session. @throws InstanceError */
  async limitsOf(sessionId: string): Promise<SessionLimits | undefined> {
    try {
      const session = await this.#ask(() => this.#clerk.sessions.getSession(sessionId))
      const { createdAt, expireAt, abandonAt, lastActiveAt } = session
      return { maximum: (expireAt - createdAt) / 1000, inactivity: (abandonAt - lastActiveAt) / 1000 }
    } catch (error) {
      if (error instanceof InstanceError && error.reason === 'refused') return undefined
      throw error
    }
  }

  /**
   * @param lifetime seconds; Clerk takes 30 to 315,360,000
   * @throws InstanceError
   */
  async setTemplateLifetime(name: string, lifetime: number): Promise<void> {
    const { data } = await this.#ask(() => this.#clerk.jwtTemplates.list({ limit: MOST }))
    const template = data.find((one) => one.name === name)
    if (!template) throw new InstanceError('refused')
    const { id, claims, allowedClockSkew } = template
    // Name and claims have to be said again, or Clerk refuses the change.
    await this.#ask(() => this.#clerk.jwtTemplates.update({ templateId: id, name, claims, allowedClockSkew, lifetime }))
  }

  async #ask<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await withDeadline(this.#clock, DEADLINE, call)
    } catch (error) {
      throw new InstanceError(problemOf(error))
    }
  }
}

function problemOf(error: unknown): InstanceProblem {
  const status = isClerkAPIResponseError(error) ? error.status : undefined
  if (status === undefined) return 'unreachable'
  if (status === 401) return 'wrong_key'
  if (status === 429) return 'rate_limited'
  return status >= 500 ? 'server' : 'refused'
}
