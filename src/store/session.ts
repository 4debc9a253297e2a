// The session of one signed-in person, and how it is parsed on its way from disk.
import * as v from 'valibot'

const text = v.pipe(v.string(), v.minLength(1))
const unixTime = v.pipe(v.number(), v.finite(), v.minValue(0))

const sessionSchema = v.object({
  /** Counts the writes of this session, so that an older copy can be told from a newer one. */
  generation: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  user: v.object({ id: text, email: v.nullable(v.string()), name: v.nullable(v.string()) }),
  /** Clerk's session, where the token names one (`sid`). */
  sessionId: v.nullable(text),
  /** Unix seconds; when the provider said that the session itself ends. */
  sessionExpiresAt: v.nullable(unixTime),
  accessToken: v.object({
    value: text,
    /** Unix seconds on our own clock when the token was received. */
    receivedAt: unixTime,
    /** Seconds from then on for which the token is good. */
    lifetime: v.pipe(v.number(), v.finite(), v.minValue(0)),
  }),
  refreshToken: v.nullable(text),
  /** There while a refresh may have spent the refresh token: its answer is not known, or was lost in a crash. */
  refreshing: v.optional(v.literal(true)),
})

/** Who is signed in, and with what. Holds secrets: never logged, never sent to a client. */
export type Session = v.InferOutput<typeof sessionSchema>
export type User = Session['user']

/** @throws ValiError where the value is not a session. */
export function parseSession(value: unknown): Session {
  return v.parse(sessionSchema, value)
}
