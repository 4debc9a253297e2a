// The RPC methods: each calls one authenticator. Which error gets which number is decided here and nowhere else.
import { RejectedError, SessionEndedError, SignInError, UnavailableError } from '../clerk/errors.ts'
import { ConfigurationError } from '../config/errors.ts'
import { errors, type MethodName, methods, type Params, type Result, RpcError } from '../rpc/contract.ts'
import type { Method } from '../rpc/dispatcher.ts'
import { preEncoded } from '../rpc/pre-encoded.ts'
import type { Authenticator } from '../session/authenticator.ts'
import { CallbackPortError, InteractionRequiredError, ShuttingDownError } from '../session/errors.ts'
import { OtherBrokerError, StoreError } from '../store/errors.ts'

export interface HandlerOptions {
  /** The authenticator of a profile, or of the default profile. @throws ConfigurationError */
  readonly authenticator: (profile: string | undefined) => Authenticator
  readonly describe: (authenticator: Authenticator) => Result<'status'>
  /** Called if a person has just asked for a call: prompts that they dismissed may appear again. */
  readonly onPersonAsked: () => void
  /** @throws ConfigurationError */
  readonly diagnose: (profile: string | undefined) => Promise<Result<'diagnose'>>
  readonly shutdown: () => Result<'shutdown'>
  /** Returns the OpenRPC document. */
  readonly discover: () => Promise<object>
}

type Handlers = { readonly [M in MethodName]: (params: Params<M>) => Result<M> | Promise<Result<M>> }

// A code for another device usually lives ten minutes (RFC 8628 leaves it to the provider, which ends it sooner).
const SIGN_IN_SECONDS = { browser: 300, device: 600 } as const
const RETRY_SECONDS = 1 // if neither the provider nor the backoff says when; a blip is over by then

export function createHandlers(options: HandlerOptions): Record<string, Method> {
  const { authenticator, describe, onPersonAsked } = options
  const handlers: Handlers = {
    getAuthHeader: ({ profile, minValiditySeconds, interactive, userAsked }) => {
      if (userAsked) onPersonAsked()
      return authenticator(profile).authHeader(minValiditySeconds, interactive, userAsked)
    },
    refresh: ({ profile, rejected }) => authenticator(profile).refresh(rejected),
    login: async ({ profile, openBrowser = true, wait = true, method = 'browser', ...options }) => {
      const one = authenticator(profile)
      if (options.userAsked ?? true) onPersonAsked()
      const { timeoutSeconds = SIGN_IN_SECONDS[method] } = options
      await one.login({ ...options, openBrowser, wait, method, timeoutSeconds })
      return describe(one)
    },
    cancelLogin: async ({ profile }) => {
      const one = authenticator(profile)
      await one.cancelLogin()
      return describe(one)
    },
    logout: ({ profile, sessionId }) => authenticator(profile).logout(sessionId),
    importSession: async ({ profile, token, sessionId = null, user: { id, email = null, name = null } }) => ({
      imported: await authenticator(profile).importSession({ token, sessionId, user: { id, email, name } }),
    }),
    status: async ({ profile }) => {
      const one = authenticator(profile)
      await one.load()
      one.followClock() // timers sleep with the machine: a session may be over although its end timer has not fired
      return describe(one)
    },
    diagnose: ({ profile }) => options.diagnose(profile),
    shutdown: () => options.shutdown(),
  }
  const described = Object.entries(methods).map(([name, { params }]): [string, Method] => [
    name,
    { params, handle: numbered(handlers[name as MethodName] as (params: never) => unknown) },
  ])
  const table: Record<string, Method> = Object.fromEntries(described)
  const getAuthHeader: Method = {
    ...(table.getAuthHeader as Method),
    // The session gives the same header object until the next token: each is encoded once.
    immediate: ({ profile, minValiditySeconds }: Params<'getAuthHeader'>) => {
      const header = authenticator(profile).serveFromMemory(minValiditySeconds)
      return header instanceof Promise ? header.then(preEncoded) : header && preEncoded(header)
    },
  }
  return { ...table, getAuthHeader, 'rpc.discover': { params: methods.shutdown.params, handle: options.discover } }
}

function numbered(handler: (params: never) => unknown): (params: never) => unknown {
  const fail = (error: unknown) => {
    throw toRpcError(error)
  }
  return (params) => {
    try {
      const result = handler(params)
      return result instanceof Promise ? result.catch(fail) : result
    } catch (error) {
      return fail(error)
    }
  }
}

/** The error with its number and constant text; an error that the contract does not name is returned as it is. */
export function toRpcError(error: unknown): unknown {
  if (error instanceof InteractionRequiredError || error instanceof SessionEndedError) {
    return rpcError('interactionRequired', { reason: error.reason })
  }
  if (error instanceof SignInError) return rpcError('signInFailed', { reason: error.reason })
  if (error instanceof UnavailableError) {
    const { reason, retryAfterSeconds = RETRY_SECONDS, failure } = error
    return rpcError('temporarilyUnavailable', { reason, retryAfterSeconds, ...failure })
  }
  if (error instanceof RejectedError) return rpcError('providerRejected', { reason: error.reason })
  if (error instanceof OtherBrokerError) {
    return rpcError('configuration', { setting: error.setting, expected: error.expected })
  }
  if (error instanceof StoreError) return rpcError('storeUnavailable', { reason: error.code, hint: error.message })
  if (error instanceof ShuttingDownError) return rpcError('shuttingDown')
  if (error instanceof CallbackPortError) {
    const { profile, otherProfile } = error
    const setting = `profiles.${profile}.redirectPort`
    const expected = 'a port that no other program uses, or 0'
    if (otherProfile === undefined) return rpcError('configuration', { setting, expected })
    return rpcError('configuration', {
      setting,
      expected: `another port than that of the profile ${otherProfile}, which is signing in`,
      profile,
      otherProfile,
    })
  }
  if (error instanceof ConfigurationError) {
    const { setting, expected, file } = error
    return rpcError('configuration', file === undefined ? { setting, expected } : { setting, expected, file })
  }
  return error
}

function rpcError(name: keyof typeof errors, data?: Record<string, unknown>): RpcError {
  const { code, message } = errors[name]
  return new RpcError(code, message, data)
}
