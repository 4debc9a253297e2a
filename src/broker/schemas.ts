// The bodies of the requests and of the answers: the broker checks the requests by these schemas.
import * as v from 'valibot'

const sessionId = v.pipe(
  v.string(),
  v.regex(/^sess_[A-Za-z0-9]{1,64}$/), // it becomes part of a URL at Clerk
  v.description('the id of the Clerk session'),
)
const sealed = v.pipe(v.string(), v.minLength(1), v.maxLength(8 * 1024))
const refreshToken = v.pipe(sealed, v.description('opaque; only the broker reads it'))
const code = v.pipe(sealed, v.description('valid for a minute, used once'))
const redirectUri = v.pipe(
  v.string(),
  v.maxLength(2048),
  v.check(isLoopbackCallback, 'a loopback callback'),
  v.description('the callback on loopback, exactly as the daemon gave it to the page'),
)
const challenge = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/), v.description('RFC 7636 section 4.2, S256'))
const verifier = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._~-]{43,128}$/), v.description('RFC 7636 section 4.1'))

export const codeRequest = v.object({
  session_id: sessionId,
  code_challenge: challenge,
  code_challenge_method: v.literal('S256'),
  redirect_uri: redirectUri,
})

export const tokenRequest = v.object({ code, code_verifier: verifier, redirect_uri: redirectUri })

/** With a session token in the header Authorization. */
export const sessionRequest = v.object({ session_id: sessionId })

export const refreshRequest = v.object({ refresh_token: refreshToken })

export const codeAnswer = v.object({ code, expires_in: v.literal(60) })

export const refreshAnswer = v.object({
  token: v.pipe(v.string(), v.description('a Clerk session token, or one of the configured JWT template')),
  expires_in: v.pipe(v.number(), v.description('seconds')),
  session_id: sessionId,
  refresh_token: refreshToken,
  session_expires_at: v.pipe(v.number(), v.description('Unix time in seconds')),
})

export const tokenAnswer = v.object({
  ...refreshAnswer.entries,
  user: v.pipe(
    v.object({ id: v.string(), email: v.nullable(v.string()), name: v.nullable(v.string()) }),
    v.description('as Clerk knows the user'),
  ),
})

export const logoutAnswer = v.object({ revoked: v.literal(true) })

export const instancesAnswer = v.object({
  issuers: v.pipe(v.array(v.string()), v.description('Frontend API URLs, as in the `iss` of a token')),
})

export const errorAnswer = v.object({ error: v.string(), error_description: v.string() })

export type CodeRequest = v.InferOutput<typeof codeRequest>
export type TokenRequest = v.InferOutput<typeof tokenRequest>
export type RefreshAnswer = v.InferOutput<typeof refreshAnswer>
export type TokenAnswer = v.InferOutput<typeof tokenAnswer>

// Checks the text before the URL parser normalises it: the parser turns 127.1 into 127.0.0.1 and a backslash into a slash.
const LOOPBACK = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\]):([1-9]\d{3,4})(?:[/?][\x21-\x7e]*)?$/

/** `http` on loopback, with a port from 1024 on, without user and fragment (RFC 8252 section 7.3), as the page accepts it. */
function isLoopbackCallback(text: string): boolean {
  const [, port = ''] = LOOPBACK.exec(text) ?? []
  return Number(port) >= 1024 && Number(port) <= 65_535 && !/[\\#]/.test(text)
}
