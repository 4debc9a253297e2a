// The session of one signed-in user, and its parser for what is read from disk.
import * as v from 'valibot'

const text = v.pipe(v.string(), v.minLength(1))
const coordinate = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/)) // 32 bytes, base64url (RFC 7518 section 6.2.1)
const unixTime = v.pipe(v.number(), v.finite(), v.minValue(0))

const sessionSchema = v.object({
  /** Grows with each new token, so that an older copy can be told from a newer one. */
  generation: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  user: v.object({ id: text, email: v.nullable(v.string()), name: v.nullable(v.string()) }),
  /** The id of Clerk's session, if the token names one (`sid`). */
  sessionId: v.nullable(text),
  /** When the session itself ends according to the provider, in Unix seconds. */
  sessionExpiresAt: v.nullable(unixTime),
  accessToken: v.object({
    value: text,
    /** When the token was received by the clock of this machine, in Unix seconds. */
    receivedAt: unixTime,
    /** For how many seconds from then on the token is valid. */
    lifetime: v.pipe(v.number(), v.finite(), v.minValue(0)),
  }),
  refreshToken: v.nullable(text),
  /** The key to which the broker has bound the refresh token (RFC 9449); absent if there is no broker, and in the files of version 1.0. */
  proofKey: v.optional(
    v.object({ kty: v.literal('EC'), crv: v.literal('P-256'), x: coordinate, y: coordinate, d: coordinate }),
  ),
  /** The organization in which the user is active; absent in the files of version 1.0. */
  organization: v.optional(v.nullable(v.object({ id: text, slug: v.nullable(text), role: v.nullable(text) }))),
  /** Set while a refresh may have spent the refresh token: its response is not known yet, or was lost in a crash. */
  refreshing: v.optional(v.literal(true)),
})

/** The signed-in user with their tokens. Holds secrets: never log it, never send it to a client. */
export type Session = v.InferOutput<typeof sessionSchema>
export type User = Session['user']
export type Organization = NonNullable<Session['organization']>

/** @throws ValiError if the value is not a session */
export function parseSession(value: unknown): Session {
  return v.parse(sessionSchema, value)
}
