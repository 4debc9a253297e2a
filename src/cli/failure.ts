// Maps each kind of error to the exit code, the error text and the hint of a command.
import { ServiceError } from '../autostart/errors.ts'
import { ConfigurationError } from '../config/errors.ts'
import { StuckDaemonError } from '../daemon/single-instance.ts'
import { FileError } from '../host/files.ts'
import { EnvironmentError } from '../host/home.ts'
import { LockError } from '../host/lock.ts'
import { ConnectionClosedError, NoDaemonError } from '../rpc/client.ts'
import { errors, INVALID_PARAMS, METHOD_NOT_FOUND, RpcError } from '../rpc/contract.ts'
import { UpdateError } from '../update/errors.ts'
import { EXIT } from './exit-codes.ts'
import { networkHint } from './network-hint.ts'

export interface Failure {
  readonly exitCode: number
  readonly error: string
  readonly hint?: string
}

/** The arguments or environment variables of the command are wrong. */
export class UsageError extends Error {
  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message)
    this.name = 'UsageError'
  }
}

/** @param names the profiles that there are */
export function unknownProfile(names: Iterable<string>): UsageError {
  return new UsageError('no such profile', `use one of ${[...names].join(', ')}`)
}

/** The command could not do its work. */
export class CommandError extends Error {
  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message)
    this.name = 'CommandError'
  }
}

/** The daemon could not be started in the background. */
export class StartError extends Error {
  /**
   * @param ending how its start ended, such as `ended with code 1`
   * @param output the error output of the daemon, without the leading `error: `
   */
  constructor(
    ending: string,
    readonly output: string,
  ) {
    super(`the daemon was started, but ${ending}`)
    this.name = 'StartError'
  }
}

const NO_DAEMON_HINTS: Readonly<Record<NoDaemonError['reason'], string>> = {
  absent: 'run cadzero-auth status to start it in the background',
  refused: 'run cadzero-auth status to start it in the background',
  timeout: 'allow connections to 127.0.0.1 in the firewall or security program, or run cadzero-auth daemon',
  no_answer: 'end the daemon process that hangs, then try again',
  not_genuine: 'run cadzero-auth status to start a new one: another program uses the port of the last one',
}

type Rule = (error: unknown) => Failure | undefined

// biome-ignore lint/suspicious/noExplicitAny: the constructors of errors take different parameters
function on<E extends Error>(kind: new (...args: any[]) => E, failure: (error: E) => Failure): Rule {
  return (error) => (error instanceof kind ? failure(error) : undefined)
}

const STUCK_HINTS: Readonly<Record<StuckDaemonError['reason']['kind'], string>> = {
  other_host: 'use cadzero-auth on that computer, or set CADZERO_AUTH_HOME to a folder that only this computer uses',
  other_network: 'use cadzero-auth there, or set CADZERO_AUTH_HOME to a folder that is used only here',
  unreachable: 'allow connections to 127.0.0.1 in the firewall or security program, then try again',
  hanging: 'end the daemon process that hangs, then try again',
  silent: 'end the daemon process that hangs, then try again',
}

const RULES: readonly Rule[] = [
  on(RpcError, rpcFailure),
  on(UsageError, ({ message, hint }) => ({ exitCode: EXIT.usage, error: message, ...withHint(hint) })),
  on(EnvironmentError, ({ message, hint }) => ({ exitCode: EXIT.usage, error: message, hint })),
  on(CommandError, ({ message, hint }) => failed(message, hint)),
  on(ServiceError, ({ message, hint }) => failed(message, hint)),
  on(NoDaemonError, ({ message, reason }) => ({
    exitCode: EXIT.noDaemon,
    error: message,
    hint: NO_DAEMON_HINTS[reason],
  })),
  on(StartError, ({ message, output }) => {
    const [error, hint = 'run cadzero-auth doctor'] = output.split('\nhint: ')
    return { exitCode: EXIT.noDaemon, error: `${message}${error ? `: ${error}` : ' and printed no error'}`, hint }
  }),
  on(ConnectionClosedError, ({ message }) => failed(message, 'try again: the daemon was stopped or replaced')),
  on(ConfigurationError, ({ file, setting, expected }) => ({
    ...failed(`${file ?? 'configuration'}: ${setting} is missing or wrong`, correctionHint(setting, expected)),
    ...(isVariable(setting) && { exitCode: EXIT.usage }),
  })),
  on(StuckDaemonError, ({ message, reason }) => ({
    exitCode: EXIT.noDaemon,
    error: message,
    hint: STUCK_HINTS[reason.kind],
  })),
  on(UpdateError, ({ message, hint }) => failed(message, hint)),
  on(FileError, ({ message }) => failed(message)),
  on(LockError, ({ message, hint }) => ({ exitCode: EXIT.noDaemon, error: message, hint })),
]

export function failureOf(error: unknown): Failure {
  for (const rule of RULES) {
    const failure = rule(error)
    if (failure) return failure
  }
  return failed(systemErrorText(error), systemErrorHint(error))
}

const SYSTEM_ERROR_HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'free some space on the disk, then try again: it is full',
  EDQUOT: 'free some space, then try again: your share of the disk is used up',
  EROFS: 'set CADZERO_AUTH_HOME to a folder that can be written, then try again: this disk is read-only',
}

function systemErrorHint(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return SYSTEM_ERROR_HINTS[code] ?? 'run cadzero-auth doctor to find the cause'
}

function failed(error: string, hint?: string): Failure {
  return { exitCode: EXIT.failed, error, ...withHint(hint) }
}

function withHint(hint: string | undefined): { hint?: string } {
  return hint === undefined ? {} : { hint }
}

/** The message of a system error names a path and a cause, and no secret. Another message may hold anything. */
function systemErrorText(error: unknown): string {
  return error instanceof Error && 'syscall' in error ? error.message : 'an unexpected error occurred'
}

function rpcFailure({ code, message, data = {} }: RpcError): Failure {
  const reason = typeof data.reason === 'string' ? data.reason : undefined
  const error = reason === undefined ? message : `${message}: ${reason}`
  switch (code) {
    case errors.interactionRequired.code:
      return {
        exitCode: EXIT.signInNeeded,
        error: SIGN_IN_NEEDED[reason ?? ''] ?? error,
        ...withHint(forProfile('cadzero-auth login', data.profile)),
      }
    case errors.signInFailed.code:
      return failed(error, forProfile(SIGN_IN_HINTS[reason ?? ''], data.profile, data.options))
    case errors.temporarilyUnavailable.code:
      return unavailable(error, data)
    case errors.providerRejected.code:
      return failed(error, REJECTED_HINTS[reason ?? ''] ?? 'run cadzero-auth doctor to check the setup')
    case errors.storeUnavailable.code:
      return failed(error, typeof data.hint === 'string' ? data.hint : undefined)
    case errors.configuration.code:
      return configurationFailure(message, data)
    case METHOD_NOT_FOUND:
      return failed(error, 'run cadzero-auth rpc rpc.discover to list the methods')
    case INVALID_PARAMS:
      return { exitCode: EXIT.usage, error, ...withHint(paramsHint(data.issues)) }
    default:
      return failed(error)
  }
}

function samePort(profile: unknown, otherProfile: string): Failure {
  return failed(
    `the profiles ${profile} and ${otherProfile} have the same redirectPort, and ${otherProfile} is signing in`,
    `finish the sign-in of ${otherProfile} first, or set another redirectPort for one of them`,
  )
}

/** Without its profile, a pasted `cadzero-auth login` would sign in to another one. */
function forProfile(hint: string | undefined, profile: unknown, options: unknown = []): string | undefined {
  const named = typeof profile === 'string' ? ['--profile', profile] : []
  return hint?.replaceAll('cadzero-auth login', ['cadzero-auth login', ...named, ...[options].flat()].join(' '))
}

/** The error of a failed sign-in, whose hint repeats these options of the command. Another error is returned as it is. */
export function repeatedWith(options: readonly string[], error: unknown): unknown {
  if (!(error instanceof RpcError) || error.code !== errors.signInFailed.code) return error
  return new RpcError(error.code, error.message, { ...error.data, options })
}

const SIGN_IN_NEEDED: Readonly<Record<string, string>> = {
  signed_out: 'you are not signed in',
  session_expired: 'your session has expired',
  session_revoked: 'the provider has ended your session',
}

const SIGN_IN_HINTS: Readonly<Record<string, string>> = {
  cancelled: 'run cadzero-auth login to start another sign-in',
  access_denied: 'run cadzero-auth login to try again: the sign-in was declined in the browser',
  timeout: 'run cadzero-auth login to try again: the sign-in timed out',
  browser: 'run cadzero-auth login --no-browser, and open the link yourself: no browser could be started',
  invalid_response:
    'run cadzero-auth doctor to check the clock of this computer and the provider: its response proves no sign-in',
}

const REJECTED_HINTS: Readonly<Record<string, string>> = {
  redirect_uri_mismatch: 'register http://127.0.0.1/callback in Clerk, or one exact port and set redirectPort to it',
  invalid_client: 'check clientId against the OAuth application in Clerk: the provider does not know it',
  invalid_scope: 'check scopes: one of them is not assigned to the OAuth application in Clerk',
  no_refresh_token: 'assign the scope offline_access to the OAuth application in Clerk',
  device_authorization_unsupported:
    'run cadzero-auth login --no-browser instead: the provider has no sign-in on another device',
  issuer_mismatch: 'set issuer to the issuer in the provider’s metadata, exactly as written there',
}

function unavailable(error: string, data: Readonly<Record<string, unknown>>): Failure {
  const hint = networkHint(data)
  if (hint === undefined) return failed(error, retryHint(data.retryAfterSeconds))
  return failed(`${error} (${data.cause})`, `${hint}; your session is kept`)
}

function retryHint(seconds: unknown): string {
  const when = typeof seconds === 'number' && seconds > 0 ? `try again in ${seconds} s` : 'try again'
  return `${when}; your session is kept`
}

/** A running daemon has read the configuration at its start, so that a correction alone changes nothing. */
function configurationFailure(message: string, data: Readonly<Record<string, unknown>>): Failure {
  const { file = message, setting, expected, profile, otherProfile } = data
  if (typeof otherProfile === 'string') return samePort(profile, otherProfile)
  if (setting === 'profile') return { exitCode: EXIT.usage, error: 'no such profile', hint: `use ${expected}` }
  const hint = `${correctionHint(setting, expected)}; then run cadzero-auth daemon --stop and try again`
  const failure = failed(`${file}: ${setting} is missing or wrong`, hint)
  return isVariable(setting) ? { ...failure, exitCode: EXIT.usage } : failure
}

function correctionHint(setting: unknown, expected: unknown): string {
  const right = typeof expected === 'string' ? expected : 'another value'
  return isVariable(setting) ? `set ${setting} to ${right}, or unset it` : `correct it: it should be ${right}`
}

/** Whether the setting was read from an environment variable, which an error then names. */
function isVariable(setting: unknown): boolean {
  return /^CADZERO_AUTH_[A-Z_]+$/.test(String(setting))
}

function paramsHint(issues: unknown): string | undefined {
  if (!Array.isArray(issues)) return undefined
  return issues.map(({ path, expected }) => `${path === '' ? 'pass' : `${path} should be`} ${expected}`).join('; ')
}
