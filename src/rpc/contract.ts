// The wire contract: methods, the schemas of their params and results, the notification and the error codes.
import * as v from 'valibot'

const profile = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(64)))
const seconds = (least: number, most = Number.MAX_VALUE) => v.pipe(v.number(), v.minValue(least), v.maxValue(most))
const nothing = v.strictObject({})
const onlyProfile = v.strictObject({ profile })

const shortText = v.pipe(v.string(), v.minLength(1), v.maxLength(320))

const authHeader = v.object({
  headers: v.object({ Authorization: v.string() }),
  expiresAt: v.pipe(v.number(), v.integer()),
})

const time = v.nullable(v.number())

const status = v.object({
  profile: v.string(),
  state: v.picklist(['signed_out', 'signing_in', 'signed_in']),
  user: v.nullable(v.object({ id: v.string(), email: v.nullable(v.string()), name: v.nullable(v.string()) })),
  sessionId: v.nullable(v.string()),
  tokenExpiresAt: time,
  sessionExpiresAt: time,
  authorizationUrl: v.nullable(v.string()),
  refresh: v.object({ lastAt: time, lastError: v.nullable(v.string()) }),
  store: v.object({
    persisted: v.boolean(),
    keyProtection: v.nullable(v.picklist(['keyring', 'keyfile', 'passphrase'])),
  }),
  daemon: v.object({ version: v.string(), pid: v.number(), uptimeSeconds: v.number() }),
})

/** What `getAuthHeader` and `refresh` answer. `expiresAt` is in Unix seconds. */
export type AuthHeader = v.InferOutput<typeof authHeader>
/** What `status` answers and `sessionChanged` carries. Times are Unix seconds; it never holds a token. */
export type Status = v.InferOutput<typeof status>

/** The methods of the daemon: what each does, what it takes and what it gives. */
export const methods = {
  getAuthHeader: {
    summary: 'A header for a request to the API, its token good for some time yet. Refreshes or signs in as needed.',
    params: v.strictObject({
      profile,
      minValiditySeconds: v.optional(seconds(0)),
      interactive: v.optional(v.boolean()),
    }),
    result: authHeader,
  },
  refresh: {
    summary: 'A header with a token newly issued; where `rejected` is not the current header value, the current one.',
    params: v.strictObject({ profile, rejected: v.optional(v.pipe(v.string(), v.maxLength(32 * 1024))) }),
    result: authHeader,
  },
  login: {
    summary: 'Signs a person in with the browser. A sign-in that runs already is joined.',
    params: v.strictObject({
      profile,
      openBrowser: v.optional(v.boolean()),
      wait: v.optional(v.boolean()),
      timeoutSeconds: v.optional(seconds(1, 3600)),
    }),
    result: status,
  },
  cancelLogin: { summary: 'Ends a sign-in that runs.', params: onlyProfile, result: status },
  logout: {
    summary: 'Deletes the session here in every case, and revokes it at the provider as well as can be.',
    params: onlyProfile,
    result: v.object({ revoked: v.boolean(), accessTokenValidUntil: time }),
  },
  importSession: {
    summary:
      'Takes over a session that CADZERO kept before it had this daemon, or, where its token is dead, whose it was.',
    params: v.strictObject({
      profile,
      token: v.pipe(v.string(), v.minLength(1), v.maxLength(16 * 1024)),
      sessionId: v.optional(v.nullable(shortText)),
      user: v.strictObject({
        id: v.nullable(shortText),
        email: v.optional(v.nullable(shortText)),
        name: v.optional(v.nullable(shortText)),
      }),
    }),
    result: v.object({ imported: v.picklist(['session', 'user', 'nothing']) }),
  },
  status: {
    summary: 'Who is signed in, until when, and how the session is kept.',
    params: onlyProfile,
    result: status,
  },
  shutdown: {
    summary: 'Ends the daemon once the calls that run have finished. Nobody is signed out.',
    params: nothing,
    result: v.object({ pid: v.number() }),
  },
} as const

export type MethodName = keyof typeof methods
export type Params<M extends MethodName> = v.InferOutput<(typeof methods)[M]['params']>
export type Result<M extends MethodName> = v.InferOutput<(typeof methods)[M]['result']>

export const notifications = {
  sessionChanged: { summary: 'The state, the user or the token of a profile has changed.', params: status },
} as const

/** The codes of errors beyond JSON-RPC's own (section 5.1), with the reasons that `data.reason` may give. */
export const errors = {
  interactionRequired: { code: 1001, message: 'interaction required' },
  signInFailed: { code: 1002, message: 'sign-in failed' },
  temporarilyUnavailable: { code: 1003, message: 'temporarily unavailable' },
  providerRejected: { code: 1004, message: 'provider rejected the request' },
  storeUnavailable: { code: 1005, message: 'store unavailable' },
  shuttingDown: { code: 1006, message: 'shutting down' },
  configuration: { code: 1007, message: 'configuration' },
} as const

export const PARSE_ERROR = -32700
export const INVALID_REQUEST = -32600
export const METHOD_NOT_FOUND = -32601
export const INVALID_PARAMS = -32602
export const INTERNAL_ERROR = -32603

/** An error with its number, ready for the wire. Its texts are constants: they quote no request, answer or secret. */
export class RpcError extends Error {
  constructor(
    readonly code: number,
    message: string,
    readonly data?: Readonly<Record<string, unknown>>,
  ) {
    super(message)
    this.name = 'RpcError'
  }
}

export interface ParamIssue {
  /** The name of the param, or empty for the params as a whole. */
  readonly path: string
  readonly expected: string
}

/** @throws RpcError -32602 that says which param is wrong and what it should be. */
export function parseParams<S extends v.GenericSchema>(schema: S, params: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, params ?? {})
  if (parsed.success) return parsed.output
  throw new RpcError(INVALID_PARAMS, 'invalid params', { issues: parsed.issues.map(describe) })
}

// Not the library's message: it quotes the value that was sent. Nor the name of an unknown param.
function describe(issue: v.BaseIssue<unknown>): ParamIssue {
  if (issue.expected === 'never') {
    const isByPosition = Array.isArray(issue.path?.[0]?.input) // the library takes an array for an object
    return { path: '', expected: isByPosition ? 'an object: params go by name' : 'no other params' }
  }
  const path = (issue.path ?? []).map((item) => String(item.key)).join('.')
  return { path, expected: issue.expected ?? 'another value' }
}
