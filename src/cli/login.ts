// `cadzero-auth login`: opens the browser, shows the link, and waits until the person has signed in.
import type { RpcClient } from '../rpc/client.ts'
import { errors, type Result, RpcError } from '../rpc/contract.ts'
import { type CommonOptions, type Context, profileOf, withDaemon } from './context.ts'
import { takePastedAddresses } from './pasted-callback.ts'
import { note, print, printJson } from './terminal.ts'

export interface LoginArguments extends CommonOptions {
  /** False for `--no-browser`. */
  readonly browser: boolean
  readonly timeout: number
  /** Whether to read addresses from standard input although that is no terminal. */
  readonly paste?: boolean
}

export async function login(context: Context, options: LoginArguments): Promise<void> {
  const status = await withDaemon(context, options, async (client) => {
    const before = await client.call('status', profileOf(options)).catch(() => undefined) // login will say why
    const link = showLinks(options.browser)
    if (before?.authorizationUrl) link.show(before.authorizationUrl)
    client.onNotification((method, params) => {
      const { profile, authorizationUrl } = params as Result<'status'>
      const ours = before === undefined || profile === before.profile
      if (method === 'sessionChanged' && ours && authorizationUrl !== null) link.show(authorizationUrl)
    })
    const cancel = () => void client.call('cancelLogin', profileOf(options)).catch(() => undefined)
    const isTerminal = process.stdin.isTTY === true
    const endPaste =
      isTerminal || options.paste ? takePastedAddresses(process.stdin, context.host.fetch, () => link.shown) : undefined
    process.once('SIGINT', cancel) // the person changed their mind: the daemon must not wait on
    try {
      return await signIn(client, options, options.browser)
    } finally {
      process.removeListener('SIGINT', cancel)
      endPaste?.()
      link.end()
    }
  })
  if (options.json) printJson(status)
  else print(`signed in as ${describeUser(status)}`)
}

async function signIn(client: RpcClient, options: LoginArguments, openBrowser: boolean): Promise<Result<'login'>> {
  try {
    return await client.call('login', { ...profileOf(options), openBrowser, timeoutSeconds: options.timeout })
  } catch (error) {
    const noBrowser =
      error instanceof RpcError && error.code === errors.signInFailed.code && error.data?.reason === 'browser'
    if (!noBrowser || !openBrowser) throw error
    note('No browser could be opened.')
    return await signIn(client, options, false)
  }
}

const DOTS_MS = 500

/** Shows each new link, and that the program waits. */
function showLinks(openBrowser: boolean): { show(url: string): void; readonly shown: string | undefined; end(): void } {
  const isTerminal = process.stderr.isTTY === true
  let shown: string | undefined
  let step = 0
  const timer = setInterval(() => {
    if (isTerminal && shown) process.stderr.write(`\r\x1b[KWaiting for you to sign in ${'.'.repeat(step++ % 4)}`)
  }, DOTS_MS)
  return {
    get shown() {
      return shown
    },
    show(url) {
      if (url === shown) return
      shown = url
      note(
        openBrowser
          ? 'Opening your browser to sign in. If nothing opens, use this link:'
          : 'Open this link to sign in:',
      )
      note(`\n  ${url}\n`)
      if (isTerminal) note('If the browser ends at a page that cannot be reached, paste its address here.')
      if (!isTerminal) note('Waiting for you to sign in …')
    },
    end() {
      clearInterval(timer)
      if (isTerminal) process.stderr.write('\r\x1b[K')
    },
  }
}

export function describeUser({ user }: Result<'status'>): string {
  if (!user) return 'nobody'
  const known = [user.name, user.email].filter((text) => text !== null)
  return known.length === 2 ? `${known[0]} <${known[1]}>` : (known[0] ?? user.id)
}
