// The wire contract: methods, the schemas of their params and results, notifications and error codes.
import * as v from 'valibot'
import { DESKTOP_VARIABLES, type DesktopVariable, LONGEST_DESKTOP_VALUE } from '../host/desktop.ts'

const profile = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(64)))
const seconds = (least: number, most = Number.MAX_VALUE) => v.pipe(v.number(), v.minValue(least), v.maxValue(most))
const noParams = v.strictObject({})
const onlyProfile = v.strictObject({ profile })

// Exact names: a client must not set what decides which code a program loads.
const desktopVariable = v.optional(v.pipe(v.string(), v.maxLength(LONGEST_DESKTOP_VALUE), v.regex(/^[^\0]*$/)))
const environment = v.strictObject(
  Object.fromEntries(DESKTOP_VARIABLES.map((name) => [name, desktopVariable])) as Record<
    DesktopVariable,
    typeof desktopVariable
  >,
)

const shortText = v.pipe(v.string(), v.minLength(1), v.maxLength(320))

const authHeader = v.object({
  headers: v.object({ Authorization: v.string() }),
  expiresAt: v.pipe(v.number(), v.integer()),
  refreshAt: v.pipe(v.number(), v.integer()),
})

const time = v.nullable(v.number())

const status = v.object({
  profile: v.string(),
  state: v.picklist(['signed_out', 'signing_in', 'signed_in']),
  user: v.nullable(v.object({ id: v.string(), email: v.nullable(v.string()), name: v.nullable(v.string()) })),
  organization: v.nullable(v.object({ id: v.string(), slug: v.nullable(v.string()), role: v.nullable(v.string()) })),
  sessionId: v.nullable(v.string()),
  tokenExpiresAt: time,
  sessionExpiresAt: time,
  authorizationUrl: v.nullable(v.string()),
  deviceAuthorization: v.nullable(
    v.object({
      userCode: v.string(),
      verificationUri: v.string(),
      verificationUriComplete: v.nullable(v.string()),
      expiresAt: v.number(),
    }),
  ),
  refresh: v.object({ lastAt: time, lastError: v.nullable(v.string()) }),
  signIn: v.nullable(v.object({ lastError: v.string(), at: v.number() })),
  store: v.object({
    persisted: v.boolean(),
    keyProtection: v.nullable(v.picklist(['keyring', 'keyfile', 'passphrase'])),
  }),
  daemon: v.object({
    version: v.string(),
    commit: v.nullable(v.string()),
    pid: v.number(),
    uptimeSeconds: v.number(),
  }),
})

const text = v.optional(v.string())

const diagnosis = v.object({
  profile: v.string(),
  connections: v.array(
    v.object({
      target: v.picklist(['provider', 'broker']),
      url: v.string(),
      proxy: v.nullable(
        v.object({
          url: v.nullable(v.string()),
          source: v.picklist(['configuration', 'environment', 'system']),
          variable: text,
          problem: text,
        }),
      ),
      error: v.nullable(
        v.object({
          reason: v.string(),
          cause: text,
          certificateIssuer: text,
          certificateProblem: text,
          proxyHost: text,
          proxyProblem: text,
        }),
      ),
    }),
  ),
  certificates: v.array(v.object({ origin: v.string(), path: text, count: v.number() })),
  clockSkewSeconds: v.nullable(v.number()),
  openers: v.array(v.string()),
})

/**
 * The result of `getAuthHeader` and `refresh`. `expiresAt` and `refreshAt` are in Unix seconds: from `refreshAt` on, a client
 * with a cached header asks again in the background.
 */
export type AuthHeader = v.InferOutput<typeof authHeader>
/** The result of `status` and the params of `sessionChanged`. Times are in Unix seconds. It never holds a token. */
export type Status = v.InferOutput<typeof status>
/** The result of `diagnose`. No address in it has a query, a user or a password. */
export type Diagnosis = v.InferOutput<typeof diagnosis>

/** The methods of the daemon. Summaries appear in the OpenRPC document. */
export const methods = {
  getAuthHeader: {
    summary: 'Returns an Authorization header whose token is valid for some time. Refreshes or signs in if needed.',
    params: v.strictObject({
      profile,
      minValiditySeconds: v.optional(seconds(0)),
      interactive: v.optional(v.boolean()),
      userAsked: v.optional(v.boolean()),
    }),
    result: authHeader,
  },
  refresh: {
    summary: 'Returns a header with a new token, or the current header if `rejected` is not its value.',
    params: v.strictObject({ profile, rejected: v.optional(v.pipe(v.string(), v.maxLength(32 * 1024))) }),
    result: authHeader,
  },
  login: {
    summary:
      'Signs the user in, with the browser or on another device. Joins a running sign-in unless `method` or `prompt` differs.',
    params: v.strictObject({
      profile,
      openBrowser: v.optional(v.boolean()),
      wait: v.optional(v.boolean()),
      timeoutSeconds: v.optional(seconds(1, 3600)),
      userAsked: v.optional(v.boolean()),
      prompt: v.optional(v.literal('login')),
      method: v.optional(v.picklist(['browser', 'device'])),
      takeOver: v.optional(v.boolean()),
      environment: v.optional(environment),
    }),
    result: status,
  },
  cancelLogin: { summary: 'Cancels the running sign-in.', params: onlyProfile, result: status },
  logout: {
    summary:
      'Deletes the local session and asks the provider to revoke it. With `sessionId` only if that is still the session.',
    params: v.strictObject({ profile, sessionId: v.optional(shortText) }),
    result: v.object({ revoked: v.boolean(), accessTokenValidUntil: time }),
  },
  importSession: {
    summary:
      'Imports a session that an earlier CADZERO program kept, or only its user if the token is no longer valid.',
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
    summary: 'Returns who is signed in, until when, and how the session is stored.',
    params: onlyProfile,
    result: status,
  },
  diagnose: {
    summary:
      'Returns what the daemon sees of the network: proxies, certificates, whether provider and broker respond, the clock.',
    params: onlyProfile,
    result: diagnosis,
  },
  shutdown: {
    summary: 'Stops the daemon once the running calls have finished. The session is kept.',
    params: noParams,
    // Profiles whose session is in memory only. The daemon tries once more to save it, and it is lost if that fails.
    result: v.object({ pid: v.number(), unsaved: v.optional(v.array(v.string())) }),
  },
} as const

export type MethodName = keyof typeof methods
export type Params<M extends MethodName> = v.InferOutput<(typeof methods)[M]['params']>
export type Result<M extends MethodName> = v.InferOutput<(typeof methods)[M]['result']>

export const notifications = {
  sessionChanged: { summary: 'The state, the user or the token of a profile has changed.', params: status },
  sessionExpiring: {
    summary: 'The session of a profile ends in about a day, or in about an hour. Sent once each.',
    params: v.object({ profile: v.string(), sessionExpiresAt: v.number(), inSeconds: v.number() }),
  },
} as const

export type NotificationName = keyof typeof notifications
export type NotificationParams<N extends NotificationName> = v.InferOutput<(typeof notifications)[N]['params']>

/** The application's error codes, outside the range that JSON-RPC 2.0 section 5.1 reserves. */
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

/** An error of the contract. Its texts are constants: they quote no request, response or secret. */
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
  /** The name of the param. Empty if the issue is about the params as a whole. */
  readonly path: string
  readonly expected: string
}

/** Returns the parsed params. @throws RpcError -32602 that names each wrong param and what is expected */
export function parseParams<S extends v.GenericSchema>(schema: S, params: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, params ?? {})
  if (parsed.success) return parsed.output
  throw new RpcError(INVALID_PARAMS, 'invalid params', { issues: parsed.issues.map(describe) })
}

/** The keys that lead to the wrong value. A key of the client may contain dots, so that they stay apart. */
function keysOf(issue: v.BaseIssue<unknown>): readonly string[] {
  return (issue.path ?? []).map((item) => String(item.key))
}

// Not the library's message, which quotes the value, nor the name of an unknown param: both come from the client.
function describe(issue: v.BaseIssue<unknown>): ParamIssue {
  if (issue.expected === 'never') {
    const isByPosition = Array.isArray(issue.path?.[0]?.input) // the library takes an array for an object
    if (isByPosition) return { path: '', expected: 'an object: params go by name' }
    const inside = keysOf(issue).slice(0, -1).join('.')
    return { path: inside, expected: inside === '' ? 'no other params' : 'no other names than rpc.discover lists' }
  }
  return { path: keysOf(issue).join('.'), expected: issue.expected ?? 'another value' }
}
