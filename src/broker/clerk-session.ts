// A session and a user as Clerk's Backend API describes them.
import * as v from 'valibot'
import { BrokerError } from './errors.ts'

const sessionSchema = v.object({
  object: v.literal('session'),
  id: v.string(),
  user_id: v.string(),
  status: v.string(),
  expire_at: v.pipe(v.number(), v.finite(), v.minValue(0)),
  actor: v.optional(v.unknown(), null),
})

const userSchema = v.object({
  object: v.literal('user'),
  id: v.string(),
  first_name: v.nullish(v.string()),
  last_name: v.nullish(v.string()),
  username: v.nullish(v.string()),
  primary_email_address_id: v.nullish(v.string()),
  email_addresses: v.optional(v.array(v.object({ id: v.string(), email_address: v.string() })), []),
})

export interface ClerkSession {
  readonly id: string
  readonly userId: string
  readonly status: string
  /** Unix time in seconds. */
  readonly expiresAt: number
  /** The unit of this instance's times: not documented for each request, so it is read from the answer. */
  readonly unit: 'seconds' | 'milliseconds'
  /** Whether someone else, such as the support, uses it as this user. */
  readonly isImpersonated: boolean
}

export interface ClerkUser {
  readonly id: string
  readonly email: string | null
  readonly name: string | null
}

const FIRST_MILLISECONDS = 100_000_000_000 // the year 5138 in seconds, 1973 in milliseconds

export const sessionPath = (id: string) => `/v1/sessions/${id}`
export const userPath = (id: string) => `/v1/users/${encodeURIComponent(id)}`

/** @throws BrokerError invalid_response */
export function parseSession(body: unknown, id: string): ClerkSession {
  const { success, output } = v.safeParse(sessionSchema, body)
  if (!success || output.id !== id) throw new BrokerError('invalid_response')
  const unit = output.expire_at >= FIRST_MILLISECONDS ? 'milliseconds' : 'seconds'
  const expiresAt = Math.floor(unit === 'milliseconds' ? output.expire_at / 1000 : output.expire_at)
  const { user_id: userId, status, actor } = output
  return { id, userId, status, expiresAt, unit, isImpersonated: actor !== null }
}

/** @throws BrokerError invalid_response */
export function parseUser(body: unknown, id: string): ClerkUser {
  const { success, output } = v.safeParse(userSchema, body)
  if (!success || output.id !== id) throw new BrokerError('invalid_response')
  const { first_name: first, last_name: last, username, email_addresses: addresses } = output
  const primary = addresses.find((address) => address.id === output.primary_email_address_id)
  const name = [first, last].filter(Boolean).join(' ') || username || null
  return { id, email: primary?.email_address ?? null, name }
}
