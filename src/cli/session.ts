// `status`, `header`, `refresh` and `logout`: one RPC call each.
import type { CancelTimer } from '../host/clock.ts'
import type { RpcClient } from '../rpc/client.ts'
import { CLOSE_RESTART } from '../rpc/connection.ts'
import { errors, INVALID_PARAMS, type Params, type Result, RpcError, type Status } from '../rpc/contract.ts'
import { type CommonOptions, type Context, profileParams } from './context.ts'
import { withDaemon } from './daemon-connection.ts'
import { signIn } from './sign-in.ts'
import { describeStatus, VALUE_COLUMN } from './status-text.ts'
import { describeTime, isPiped, note, outputEnded, print, printJson, printWrapped } from './terminal.ts'

export interface HeaderArguments extends CommonOptions {
  readonly interactive?: boolean
  /** Seconds. */
  readonly minValidity?: number
}

/**
 * Prints the header, for `curl -H "$(cadzero-auth header)"`. For a sign-in it calls `login` itself, as the daemon may have
 * been started without the user's desktop.
 */
export async function header(context: Context, options: HeaderArguments): Promise<void> {
  const { interactive = false, minValidity } = options
  const validity = minValidity === undefined ? {} : { minValiditySeconds: minValidity }
  const params = { ...profileParams(options), ...validity, interactive: false }
  // A script that runs without a terminal must not open one browser after another while its user is away.
  const userAsked = process.stderr.isTTY === true || process.stdin.isTTY === true
  const result = await withDaemon(context, options, async (client) => {
    try {
      return await requestHeader(client, params, interactive && userAsked)
    } catch (error) {
      if (!interactive || !isInteractionRequired(error)) throw error
    }
    await signIn(context, client, { ...options, browser: true, userAsked })
    return await client.call('getAuthHeader', params)
  })
  printHeader(result, options)
}

/** @param userAsked whether a person has just asked for it, so that the keyring may ask for its password again */
export async function requestHeader(
  client: Pick<RpcClient, 'call'>,
  params: Params<'getAuthHeader'>,
  userAsked: boolean,
): Promise<Result<'getAuthHeader'>> {
  if (!userAsked) return await client.call('getAuthHeader', params)
  return await client.call('getAuthHeader', { ...params, userAsked }).catch((error: unknown) => {
    // A daemon of an earlier version, which an update has left running, refuses a param that it does not know.
    if (!(error instanceof RpcError && error.code === INVALID_PARAMS)) throw error
    return client.call('getAuthHeader', params)
  })
}

function isInteractionRequired(error: unknown): boolean {
  return error instanceof RpcError && error.code === errors.interactionRequired.code
}

export async function refresh(context: Context, options: CommonOptions): Promise<void> {
  const result = await withDaemon(context, options, (client) => client.call('refresh', profileParams(options)))
  printHeader(result, options)
}

function printHeader(result: Result<'getAuthHeader'>, { json }: CommonOptions): void {
  if (json) printJson(result)
  else print(`Authorization: ${result.headers.Authorization}`)
}

export async function logout(context: Context, options: CommonOptions): Promise<void> {
  const result = await withDaemon(context, options, (client) => client.call('logout', profileParams(options)))
  if (options.json) return printJson(result)
  print('signed out; the session is deleted from this computer')
  note('note: the next sign-in asks again who you are')
  const now = context.host.clock.now()
  if (!result.revoked) note('warning: the provider did not confirm that the session is revoked')
  if (result.accessTokenValidUntil !== null && result.accessTokenValidUntil > now) {
    note(
      `note: a token that a client already holds stays valid until ${describeTime(result.accessTokenValidUntil, now)}`,
    )
  }
}

export interface StatusArguments extends CommonOptions {
  readonly watch?: boolean
}

export async function status(context: Context, options: StatusArguments): Promise<void> {
  const { clock } = context.host
  await withDaemon(context, options, async (client) => {
    const ask = () => client.call('status', profileParams(options))
    if (options.watch) return await watch(context, client, ask, options)
    const now = await ask()
    if (options.json) printJson(now)
    else printWrapped(describeStatus(now, clock.now()), VALUE_COLUMN)
  })
}

// A pipe reports only at a write that its reader has gone: without this, `| head -1` would end at the next change.
const REPEAT_SECONDS = 10

/** Shows the status and each change of it, until the daemon, the reader or the user ends that. */
async function watch(
  { host: { clock } }: Context,
  client: RpcClient,
  ask: () => Promise<Status>,
  { json }: StatusArguments,
): Promise<void> {
  const first = await ask()
  const show = (one: Status, before = '\n') =>
    json ? print(JSON.stringify(one)) : printWrapped(before + describeStatus(one, clock.now()), VALUE_COLUMN)
  // Before anything is shown: after that, Ctrl-C may come at any time. It ends the command without the signal's name.
  const interrupted = new Promise<void>((resolve) => process.once('SIGINT', () => resolve()))
  show(first, '')
  client.onNotification((method, params) => {
    const changed = params as Status
    if (method === 'sessionChanged' && changed.profile === first.profile) show(changed)
  })
  let stopRepeating: CancelTimer | undefined
  const repeat = () => {
    stopRepeating = clock.after(
      REPEAT_SECONDS,
      () =>
        void ask()
          .then(show, () => undefined)
          .then(repeat),
    )
  }
  if (isPiped()) repeat()
  const closeCode = await Promise.race([client.closed, interrupted, outputEnded])
  stopRepeating?.()
  if (closeCode === undefined) return
  note(closeCode === CLOSE_RESTART ? 'the daemon has stopped' : 'the connection to the daemon was lost')
}
