// `rpc` and `authorization`: for a developer who speaks to the daemon directly.
import { authorization as authorize, SUBPROTOCOL } from '../rpc/handshake.ts'
import { type CommonOptions, type Context, profileParams } from './context.ts'
import { withDaemon } from './daemon-connection.ts'
import { UsageError } from './failure.ts'
import { print, printJson } from './terminal.ts'

/** Calls a method with params given as JSON, and prints the result. */
export async function rpc(
  context: Context,
  method: string,
  json: string | undefined,
  options: CommonOptions,
): Promise<void> {
  const params = { ...profileParams(options), ...parseParams(json) }
  const result = await withDaemon(context, options, (client) => client.callAny(method, params))
  printJson(result)
}

const EXAMPLE = `'{"interactive": false}'`

/** @throws UsageError */
function parseParams(json: string | undefined): object {
  if (json === undefined) return {}
  let params: unknown
  try {
    params = JSON.parse(json)
  } catch {
    throw new UsageError('PARAMS is not JSON', `quote it for the shell: ${EXAMPLE}`)
  }
  if (typeof params !== 'object' || params === null || Array.isArray(params)) {
    throw new UsageError('PARAMS is not an object', `pass the params by name: ${EXAMPLE}`)
  }
  return params
}

export interface AuthorizationArguments extends CommonOptions {
  readonly url?: boolean
}

/** Prints a new header with which any WebSocket client can connect once. */
export async function authorization(context: Context, options: AuthorizationArguments): Promise<void> {
  const endpoint = await withDaemon(context, options, async (client) => {
    if (options.profile !== undefined) await client.call('status', profileParams(options)) // fails if there is no such profile
    return client.endpoint
  })
  const url = `ws://${endpoint.endpoint}${endpoint.path}`
  const { value } = authorize(endpoint, context.host.random)
  if (options.json) printJson({ url, subprotocol: SUBPROTOCOL, headers: { Authorization: value } })
  else print(options.url ? url : `Authorization: ${value}`)
}
