// How a command ends when it fails: the exit code, the error and the hint for each kind of failure.

import { ServiceError } from '../autostart/errors.ts'
import { ConfigurationError } from '../config/errors.ts'
import { StuckDaemonError } from '../daemon/single-instance.ts'
import { FileError } from '../host/files.ts'
import { LockError } from '../host/lock.ts'
import { ConnectionClosedError, NoDaemonError } from '../rpc/client.ts'
import { errors, INVALID_PARAMS, METHOD_NOT_FOUND, RpcError } from '../rpc/contract.ts'

export const EXIT = { ok: 0, failed: 1, usage: 2, noDaemon: 3, signInNeeded: 4 } as const

export interface Failure {
  readonly exitCode: number
  readonly error: string
  readonly hint?: string
}

/** The command was called wrongly. */
export class UsageError extends Error {
  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message)
    this.name = 'UsageError'
  }
}

/** The command could not do what it was asked to. */
export class CommandError extends Error {
  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message)
    this.name = 'CommandError'
  }
}

/** The daemon could not be started in the background; it has said why itself. */
export class StartError extends Error {
  constructor(readonly said: string) {
    super('the daemon could not be started')
    this.name = 'StartError'
  }
}

const START = 'start one with: cadzero-auth daemon'
// The daemon that runs goes by what it read at its start: without this word who mends the setting meets the same error.
const READ_ANEW = 'after the change: cadzero-auth daemon --stop, and try again'

export function failureOf(error: unknown): Failure {
  if (error instanceof RpcError) return rpcFailure(error)
  if (error instanceof ServiceError) return { exitCode: EXIT.failed, error: error.message, hint: error.hint }
  if (error instanceof UsageError) return { exitCode: EXIT.usage, error: error.message, ...hinted(error.hint) }
  if (error instanceof CommandError) return { exitCode: EXIT.failed, error: error.message, ...hinted(error.hint) }
  if (error instanceof NoDaemonError) {
    const hint =
      error.reason === 'not_genuine' ? 'another program has its port; cadzero-auth daemon starts a new one' : START
    return { exitCode: EXIT.noDaemon, error: error.message, hint }
  }
  if (error instanceof StartError) {
    const [said, hint = 'cadzero-auth doctor'] = error.said.split('\nhint: ')
    return { exitCode: EXIT.noDaemon, error: `${error.message}: ${said}`, hint }
  }
  if (error instanceof ConnectionClosedError) {
    return { exitCode: EXIT.failed, error: error.message, hint: 'it was stopped or replaced; try again' }
  }
  if (error instanceof ConfigurationError) {
    return {
      exitCode: EXIT.failed,
      error: `${error.file ?? 'configuration'}: ${error.setting} is missing or wrong`,
      hint: shouldBe(error),
    }
  }
  if (error instanceof StuckDaemonError) {
    return { exitCode: EXIT.failed, error: error.message, hint: 'end the process that hangs, then try again' }
  }
  if (error instanceof FileError || error instanceof LockError) return { exitCode: EXIT.failed, error: error.message }
  return { exitCode: EXIT.failed, error: systemError(error), hint: 'cadzero-auth doctor looks for what is wrong' }
}

function rpcFailure({ code, message, data }: RpcError): Failure {
  const reason = typeof data?.reason === 'string' ? data.reason : undefined
  const error = reason === undefined ? message : `${message}: ${reason}`
  switch (code) {
    case errors.interactionRequired.code:
      return { exitCode: EXIT.signInNeeded, error, hint: 'cadzero-auth login' }
    case errors.signInFailed.code:
      return { exitCode: EXIT.failed, error, ...hinted(SIGN_IN_HINTS[reason ?? '']) }
    case errors.temporarilyUnavailable.code: {
      const seconds = data?.retryAfterSeconds
      const when = typeof seconds === 'number' && seconds > 0 ? `try again in ${seconds} s` : 'try again'
      return { exitCode: EXIT.failed, error, hint: `${when}; nobody was signed out` }
    }
    case errors.providerRejected.code:
      return {
        exitCode: EXIT.failed,
        error,
        hint: REJECTED_HINTS[reason ?? ''] ?? 'cadzero-auth doctor checks the set-up',
      }
    case errors.storeUnavailable.code:
      return { exitCode: EXIT.failed, error, ...hinted(typeof data?.hint === 'string' ? data.hint : undefined) }
    case errors.configuration.code:
      return {
        exitCode: EXIT.failed,
        error: `${data?.file ?? message}: ${data?.setting} is missing or wrong`,
        hint: data?.setting === 'profile' ? shouldBe(data) : `${shouldBe(data)}; ${READ_ANEW}`,
      }
    case METHOD_NOT_FOUND:
      return { exitCode: EXIT.failed, error, hint: 'cadzero-auth rpc rpc.discover lists the methods' }
    case INVALID_PARAMS:
      return { exitCode: EXIT.usage, error, ...hinted(issuesHint(data?.issues)) }
    default:
      return { exitCode: EXIT.failed, error }
  }
}

const SIGN_IN_HINTS: Readonly<Record<string, string>> = {
  cancelled: 'cadzero-auth login starts another',
  access_denied: 'the sign-in was declined in the browser; cadzero-auth login asks again',
  timeout: 'nobody signed in in time; cadzero-auth login starts another',
  browser: 'no browser could be opened; cadzero-auth login --no-browser shows the link',
  invalid_response: 'the provider came back with something that proves nothing; cadzero-auth doctor checks it',
}

const REJECTED_HINTS: Readonly<Record<string, string>> = {
  redirect_uri_mismatch: 'register http://127.0.0.1/callback in Clerk, or the exact port and set redirectPort to it',
  invalid_client: 'clientId is not known to the provider; check it against the OAuth application in Clerk',
  invalid_scope: 'a scope is not assigned to the OAuth application in Clerk; check scopes',
  no_refresh_token: 'assign the scope offline_access to the OAuth application in Clerk',
  issuer_mismatch: 'issuer must be exactly what the metadata of the provider says',
}

function shouldBe(error: unknown): string {
  const { expected } = error as { expected?: unknown }
  return `it should be ${typeof expected === 'string' ? expected : 'something else'}`
}

function issuesHint(issues: unknown): string | undefined {
  if (!Array.isArray(issues)) return undefined
  return issues.map(({ path, expected }) => `${path === '' ? 'expected' : `${path} should be`} ${expected}`).join('; ')
}

function hinted(hint: string | undefined): { hint?: string } {
  return hint === undefined ? {} : { hint }
}

/** A system error's own words name a path and a cause, and no secret; anything else may. */
function systemError(error: unknown): string {
  return error instanceof Error && 'syscall' in error ? error.message : 'something unexpected went wrong'
}
