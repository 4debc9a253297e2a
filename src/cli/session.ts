// `status`, `header`, `refresh` and `logout`: one RPC call each.
import type { Result, Status } from '../rpc/contract.ts'
import { type CommonOptions, type Context, profileParams } from './context.ts'
import { withDaemon } from './daemon-connection.ts'
import { describeStatus } from './status-text.ts'
import { describeTime, note, print, printJson } from './terminal.ts'

export interface HeaderArguments extends CommonOptions {
  readonly interactive?: boolean
  /** Seconds. */
  readonly minValidity?: number
}

/** Prints the header, for `curl -H "$(cadzero-auth header)"`. */
export async function header(context: Context, options: HeaderArguments): Promise<void> {
  const { interactive = false, minValidity } = options
  const validity = minValidity === undefined ? {} : { minValiditySeconds: minValidity }
  const result = await withDaemon(context, options, (client) =>
    client.call('getAuthHeader', { ...profileParams(options), ...validity, interactive }),
  )
  printHeader(result, options)
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
  await withDaemon(context, options, async (client) => {
    const first = await client.call('status', profileParams(options))
    const show = (one: Status) =>
      print(options.json ? JSON.stringify(one) : describeStatus(one, context.host.clock.now()))
    if (!options.watch) return options.json ? printJson(first) : show(first)
    show(first)
    client.onNotification((method, params) => {
      const changed = params as Status
      if (method !== 'sessionChanged' || changed.profile !== first.profile) return
      if (!options.json) print('')
      show(changed)
    })
    const interrupted = new Promise<void>((resolve) => process.once('SIGINT', resolve))
    const closeCode = await Promise.race([client.closed, interrupted])
    if (closeCode !== undefined) note('the daemon has stopped')
  })
}
