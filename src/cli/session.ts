// `status`, `header`, `refresh` and `logout`: what a person asks of a session.
import type { Result } from '../rpc/contract.ts'
import { type CommonOptions, type Context, profileOf, withDaemon } from './context.ts'
import { describeUser } from './login.ts'
import { describeTime, note, print, printJson } from './terminal.ts'

export interface HeaderArguments extends CommonOptions {
  readonly interactive?: boolean
  readonly minValidity?: number
}

/** Prints the header, for `curl -H "$(cadzero-auth header)"`. */
export async function header(context: Context, options: HeaderArguments): Promise<void> {
  const { interactive = false, minValidity } = options
  const validity = minValidity === undefined ? {} : { minValiditySeconds: minValidity }
  const result = await withDaemon(context, options, (client) =>
    client.call('getAuthHeader', { ...profileOf(options), ...validity, interactive }),
  )
  printHeader(result, options)
}

export async function refresh(context: Context, options: CommonOptions): Promise<void> {
  const result = await withDaemon(context, options, (client) => client.call('refresh', profileOf(options)))
  printHeader(result, options)
}

function printHeader(result: Result<'getAuthHeader'>, { json }: CommonOptions): void {
  if (json) printJson(result)
  else print(`Authorization: ${result.headers.Authorization}`)
}

export async function logout(context: Context, options: CommonOptions): Promise<void> {
  const result = await withDaemon(context, options, (client) => client.call('logout', profileOf(options)))
  if (options.json) return printJson(result)
  print('signed out; nothing of the session is left on this machine')
  const now = context.host.clock.now()
  if (!result.revoked) note('warning: the provider did not confirm that the session has ended there')
  if (result.accessTokenValidUntil !== null && result.accessTokenValidUntil > now) {
    note(`note: a token that was handed out stays valid until ${describeTime(result.accessTokenValidUntil, now)}`)
  }
}

export interface StatusArguments extends CommonOptions {
  readonly watch?: boolean
}

export async function status(context: Context, options: StatusArguments): Promise<void> {
  await withDaemon(context, options, async (client) => {
    const first = await client.call('status', profileOf(options))
    const show = (one: Result<'status'>) =>
      options.json ? print(JSON.stringify(one)) : print(describe(one, context.host.clock.now()))
    if (!options.watch) return options.json ? printJson(first) : show(first)
    show(first)
    client.onNotification((method, params) => {
      const changed = params as Result<'status'>
      if (method !== 'sessionChanged' || changed.profile !== first.profile) return
      if (!options.json) print('')
      show(changed)
    })
    const interrupted = new Promise<void>((resolve) => process.once('SIGINT', resolve))
    const code = await Promise.race([client.closed, interrupted])
    if (code !== undefined) note('the daemon has stopped')
  })
}

const STATES = { signed_out: 'signed out', signing_in: 'signing in', signed_in: 'signed in' } as const

function describe(status: Result<'status'>, now: number): string {
  const { store, refresh, daemon } = status
  const lines = [
    ['profile', status.profile],
    ['state', STATES[status.state]],
    ['user', status.user ? `${describeUser(status)} (${status.user.id})` : '-'],
    ['token', describeTime(status.tokenExpiresAt, now).replace('(in', '(expires in')],
    ['session', describeTime(status.sessionExpiresAt, now).replace('(in', '(ends in')],
    ['refreshed', describeTime(refresh.lastAt, now)],
    [
      'kept',
      `${store.persisted ? 'on disk, encrypted' : 'in memory only'}; key: ${store.keyProtection ?? 'not known'}`,
    ],
    ['daemon', `${daemon.version}, process ${daemon.pid}, up ${daemon.uptimeSeconds} s`],
  ]
  if (refresh.lastError !== null) lines.push(['last error', refresh.lastError])
  if (status.authorizationUrl !== null) lines.push(['link', status.authorizationUrl])
  return lines.map(([name, value]) => `${name?.padEnd(11)}${value}`).join('\n')
}
