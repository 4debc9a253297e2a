// `cadzero-auth login`: opens the browser, shows the link, and waits until the user has signed in.
import type { Clock } from '../host/clock.ts'
import type { RpcClient } from '../rpc/client.ts'
import { errors, type Result, RpcError, type Status } from '../rpc/contract.ts'
import { type CommonOptions, type Context, profileParams } from './context.ts'
import { withDaemon } from './daemon-connection.ts'
import { deliverPastedCallbacks } from './pasted-callback.ts'
import { describeUser } from './status-text.ts'
import { note, print, printJson } from './terminal.ts'

export interface LoginArguments extends CommonOptions {
  /** False for `--no-browser`. */
  readonly browser: boolean
  /** Seconds. */
  readonly timeout: number
  /** Whether to read callback addresses from standard input even if it is not a terminal. */
  readonly paste?: boolean
  /** Whether to sign in although the saved session belongs to another installation. */
  readonly takeOver?: boolean
}

export async function login(context: Context, options: LoginArguments): Promise<void> {
  const status = await withDaemon(context, options, async (client) => {
    // An error here has the same cause as the error of the login below, which the command reports.
    const before = await client.call('status', profileParams(options)).catch(() => undefined)
    const link = new LinkDisplay(context.host.clock, options.browser)
    if (before?.authorizationUrl) link.show(before.authorizationUrl)
    client.onNotification((method, params) => {
      const { profile, authorizationUrl } = params as Status
      const isThisProfile = before === undefined || profile === before.profile
      if (method === 'sessionChanged' && isThisProfile && authorizationUrl !== null) link.show(authorizationUrl)
    })
    const isTerminal = process.stdin.isTTY === true
    const stopReading =
      isTerminal || options.paste
        ? deliverPastedCallbacks(process.stdin, context.host.fetch, () => link.shown)
        : undefined
    // Without this, the daemon would wait for the sign-in that the user has interrupted.
    const cancel = () => void client.call('cancelLogin', profileParams(options)).catch(() => undefined)
    process.once('SIGINT', cancel)
    try {
      return await signIn(client, options, options.browser)
    } finally {
      process.removeListener('SIGINT', cancel)
      stopReading?.()
      link.end()
    }
  })
  if (options.json) printJson(status)
  else print(`signed in as ${describeUser(status)}`)
}

/** Signs in with the link alone if the daemon cannot open a browser. */
async function signIn(client: RpcClient, options: LoginArguments, openBrowser: boolean): Promise<Result<'login'>> {
  try {
    const params = { ...profileParams(options), openBrowser, timeoutSeconds: options.timeout }
    // A daemon of version 1.0 refuses a param that it does not know.
    return await client.call('login', options.takeOver ? { ...params, takeOver: true } : params)
  } catch (error) {
    const noBrowser =
      error instanceof RpcError && error.code === errors.signInFailed.code && error.data?.reason === 'browser'
    if (!noBrowser || !openBrowser) throw error
    note('No browser could be opened.')
    return await signIn(client, options, false)
  }
}

const DOT_SECONDS = 0.5

/** Shows each new link, and in a terminal that the command is waiting. */
class LinkDisplay {
  readonly #clock: Clock
  readonly #opensBrowser: boolean
  readonly #isTerminal = process.stderr.isTTY === true
  #shown: string | undefined
  #dots = 0
  #cancelTimer: () => void = () => undefined

  constructor(clock: Clock, opensBrowser: boolean) {
    this.#clock = clock
    this.#opensBrowser = opensBrowser
  }

  /** The link that the user saw last. */
  get shown(): string | undefined {
    return this.#shown
  }

  show(url: string): void {
    if (url === this.#shown) return
    this.#shown = url
    note(
      this.#opensBrowser
        ? 'Opening your browser to sign in. If nothing opens, use this link:'
        : 'Open this link to sign in:',
    )
    note(`\n  ${url}\n`)
    if (this.#isTerminal) {
      note('If the browser ends at a page that cannot be reached, paste the address of that page here.')
      this.#animate()
    } else note('Waiting for you to sign in …')
  }

  #animate(): void {
    this.#cancelTimer()
    process.stderr.write(`\r\x1b[KWaiting for you to sign in ${'.'.repeat(this.#dots++ % 4)}`)
    this.#cancelTimer = this.#clock.after(DOT_SECONDS, () => this.#animate())
  }

  end(): void {
    this.#cancelTimer()
    if (this.#isTerminal) process.stderr.write('\r\x1b[K')
  }
}
