// `rpc` and `authorization`: for the developer who talks to the daemon directly.
import { authorization as authorize, SUBPROTOCOL } from '../rpc/handshake.ts'
import { type CommonOptions, type Context, profileOf, withDaemon } from './context.ts'
import { UsageError } from './failure.ts'
import { print, printJson } from './terminal.ts'

/** Calls any method with params given as JSON, and prints the result. */
export async function rpc(
  context: Context,
  method: string,
  text: string | undefined,
  options: CommonOptions,
): Promise<void> {
  const params = { ...profileOf(options), ...parseParams(text) }
  const result = await withDaemon(context, options, (client) => client.callAny(method, params))
  printJson(result)
}

function parseParams(text: string | undefined): object {
  if (text === undefined) return {}
  let params: unknown
  try {
    params = JSON.parse(text)
  } catch {
    throw new UsageError('PARAMS is not JSON', `quote it for the shell: '{"interactive": false}'`)
  }
  if (typeof params !== 'object' || params === null || Array.isArray(params)) {
    throw new UsageError('PARAMS is not an object', `params go by name: '{"interactive": false}'`)
  }
  return params
}

export interface AuthorizationArguments extends CommonOptions {
  readonly url?: boolean
}

/** Prints a fresh header with which any WebSocket client can connect, once. */
export async function authorization(context: Context, options: AuthorizationArguments): Promise<void> {
  const endpoint = await withDaemon(context, options, async (client) => client.endpoint)
  const url = `ws://${endpoint.endpoint}${endpoint.path}`
  const { value } = authorize(endpoint, context.host.random)
  if (options.json) printJson({ url, subprotocol: SUBPROTOCOL, headers: { Authorization: value } })
  else print(options.url ? url : `Authorization: ${value}`)
}
