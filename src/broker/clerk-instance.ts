// Reads a Clerk instance's settings through the Backend API, and sets the lifetime of a JWT template, for `doctor --clerk`.
import { createClerkClient } from '@clerk/backend'
import { isClerkAPIResponseError } from '@clerk/backend/errors'
import type { Clock } from '../host/clock.ts'
import { withTimeout } from '../host/timeout.ts'

export interface ClerkInstanceOptions {
  /** `sk_…`: full power over the instance. It is never persisted or shown. */
  readonly secretKey: string
  readonly apiUrl: string
  readonly clock: Clock
}

export interface Template {
  readonly name: string
  /** Seconds. */
  readonly lifetime: number
  /** Whether the template signs with a key of its own, which Clerk does not reveal. */
  readonly hasOwnKey: boolean
}

export interface SessionLimits {
  /** Seconds from the start of a session to its end at the latest. */
  readonly maximum: number
  /** Seconds without activity after which a session ends; not a separate limit unless less than `maximum`. */
  readonly inactivity: number
}

export type ClerkInstanceProblem = 'wrong_key' | 'unreachable' | 'rate_limited' | 'server' | 'refused'

/** Clerk was unreachable or rejected the request. It holds nothing of Clerk's answer. */
export class ClerkInstanceError extends Error {
  constructor(readonly reason: ClerkInstanceProblem) {
    super(`request to Clerk's Backend API failed: ${reason}`)
    this.name = 'ClerkInstanceError'
  }
}

const TIMEOUT = 10 // s
const MAX_TEMPLATES = 500 // Clerk's largest page

export class ClerkInstance {
  readonly #sdk: ReturnType<typeof createClerkClient>
  readonly #clock: Clock

  constructor({ secretKey, apiUrl, clock }: ClerkInstanceOptions) {
    this.#sdk = createClerkClient({ secretKey, apiUrl, telemetry: { disabled: true } })
    this.#clock = clock
  }

  /** `production` or `development`. @throws ClerkInstanceError */
  async environment(): Promise<string> {
    const { environmentType } = await this.#call(() => this.#sdk.instance.get())
    return environmentType === 'production' ? 'production' : 'development'
  }

  /** @throws ClerkInstanceError */
  async templates(): Promise<readonly Template[]> {
    const { data } = await this.#call(() => this.#sdk.jwtTemplates.list({ limit: MAX_TEMPLATES }))
    return data.map(({ name, lifetime, customSigningKey }) => ({ name, lifetime, hasOwnKey: customSigningKey }))
  }

  /** The limits that an active session shows; undefined if Clerk does not know the session. @throws ClerkInstanceError */
  async limitsOf(sessionId: string): Promise<SessionLimits | undefined> {
    try {
      const session = await this.#call(() => this.#sdk.sessions.getSession(sessionId))
      const { createdAt, expireAt, abandonAt, lastActiveAt } = session
      return { maximum: (expireAt - createdAt) / 1000, inactivity: (abandonAt - lastActiveAt) / 1000 }
    } catch (error) {
      if (error instanceof ClerkInstanceError && error.reason === 'refused') return undefined
      throw error
    }
  }

  /**
   * @param lifetime seconds; Clerk accepts 30 to 315,360,000
   * @throws ClerkInstanceError
   */
  async setTemplateLifetime(name: string, lifetime: number): Promise<void> {
    const { data } = await this.#call(() => this.#sdk.jwtTemplates.list({ limit: MAX_TEMPLATES }))
    const template = data.find((candidate) => candidate.name === name)
    if (!template) throw new ClerkInstanceError('refused')
    const { id, claims, allowedClockSkew } = template
    // Clerk rejects an update without the name and the claims.
    await this.#call(() => this.#sdk.jwtTemplates.update({ templateId: id, name, claims, allowedClockSkew, lifetime }))
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await withTimeout(this.#clock, TIMEOUT, call(), () => new ClerkInstanceError('unreachable'))
    } catch (error) {
      throw error instanceof ClerkInstanceError ? error : new ClerkInstanceError(problemOf(error))
    }
  }
}

function problemOf(error: unknown): ClerkInstanceProblem {
  const status = isClerkAPIResponseError(error) ? error.status : undefined
  if (status === undefined) return 'unreachable'
  if (status === 401) return 'wrong_key'
  if (status === 429) return 'rate_limited'
  return status >= 500 ? 'server' : 'refused'
}
