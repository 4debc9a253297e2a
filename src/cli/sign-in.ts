// A sign-in that a command waits for: hands the user's desktop over to the daemon, which opens the browser, and shows the link.
import { isAbsolute } from 'node:path'
import { withoutBundle } from '../host/child-environment.ts'
import type { Clock } from '../host/clock.ts'
import { type DesktopEnvironment, desktopVariables } from '../host/desktop.ts'
import type { RpcClient } from '../rpc/client.ts'
import { errors, INVALID_PARAMS, type Result, RpcError, type Status } from '../rpc/contract.ts'
import { type CommonOptions, type Context, profileParams } from './context.ts'
import { deliverPastedCallbacks } from './pasted-callback.ts'
import { note } from './terminal.ts'

export interface SignInOptions extends CommonOptions {
  readonly browser: boolean
  /** Seconds. */
  readonly timeout: number
  /** Whether to read callback addresses from standard input even if it is not a terminal. */
  readonly paste?: boolean
  /** Whether a person has just asked for it. If not, it fails after sign-ins that no person answered. */
  readonly userAsked: boolean
  /** Whether to sign in although the saved session belongs to another installation. */
  readonly takeOver?: boolean
}

/** Signs a user in, and resolves with the status. Ctrl-C cancels the sign-in. @throws RpcError */
export async function signIn(context: Context, client: RpcClient, options: SignInOptions): Promise<Result<'login'>> {
  const { clock, fetch } = context.host
  const link = new LinkDisplay(clock, options.browser)
  // An error here has the same cause as the error of the login below, which the command reports.
  const before = await client.call('status', profileParams(options)).catch(() => undefined)
  client.onNotification((method, params) => {
    const { profile, authorizationUrl } = params as Status
    const isThisProfile = before === undefined || profile === before.profile
    if (method === 'sessionChanged' && isThisProfile && authorizationUrl !== null) link.show(authorizationUrl)
  })
  const stopReading =
    process.stdin.isTTY === true || options.paste
      ? deliverPastedCallbacks(process.stdin, {
          fetch,
          link: () => link.shown,
          onTyped: (length) => link.showTyped(length),
        })
      : undefined
  // Without this, the daemon would wait for the sign-in that the user has interrupted.
  const cancel = () => void client.call('cancelLogin', profileParams(options)).catch(() => undefined)
  process.once('SIGINT', cancel)
  try {
    return await waitForSignIn(client, options, link)
  } finally {
    process.removeListener('SIGINT', cancel)
    stopReading?.()
    link.end()
  }
}

/** Shows the link first: then a browser that cannot be opened does not end the sign-in. */
async function waitForSignIn(client: RpcClient, options: SignInOptions, link: LinkDisplay): Promise<Result<'login'>> {
  const { browser, timeout: timeoutSeconds, userAsked, takeOver } = options
  // A daemon of an earlier version, which an update has left running, refuses a param that it does not know.
  const params = {
    ...profileParams(options),
    timeoutSeconds,
    ...(!userAsked && { userAsked }),
    ...(takeOver && { takeOver }),
  }
  const { authorizationUrl } = await client.call('login', { ...params, openBrowser: false, wait: false })
  if (authorizationUrl !== null) link.show(authorizationUrl)
  if (!browser) return await client.call('login', { ...params, openBrowser: false })
  try {
    const environment = callersDesktop(process.env)
    return await client.call('login', { ...params, environment }).catch((error: unknown) => {
      if (!hasCode(error, INVALID_PARAMS)) throw error
      return client.call('login', params)
    })
  } catch (error) {
    if (!hasCode(error, errors.signInFailed.code) || error.data?.reason !== 'browser') throw error
    link.showNoBrowser()
    return await client.call('login', { ...params, openBrowser: false })
  }
}

function hasCode(error: unknown, code: number): error is RpcError {
  return error instanceof RpcError && error.code === code
}

/** The desktop of the user who runs this command. A browser that the user names for this command is the first to be tried. */
export function callersDesktop(env: NodeJS.ProcessEnv): DesktopEnvironment {
  const { CADZERO_AUTH_BROWSER: named = '' } = env
  return desktopVariables({ ...withoutBundle(env), ...(isAbsolute(named) && { BROWSER: named }) })
}

const DOT_SECONDS = 0.5

/** Shows each new link, and in a terminal that the command is waiting. */
class LinkDisplay {
  readonly #clock: Clock
  readonly #opensBrowser: boolean
  readonly #isTerminal = process.stderr.isTTY === true
  #shown: string | undefined
  #typed = 0
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
        ? 'Sign in with your browser. If no page opens, open this link:'
        : 'Open this link to sign in:',
    )
    note(`\n  ${url}\n`)
    if (this.#isTerminal) {
      note('If the browser ends at a page that cannot be reached, paste the address of that page here.')
      this.#animate()
    } else note('Waiting for you to sign in …')
  }

  showNoBrowser(): void {
    this.#clearLine()
    note('No browser could be opened: open the link above yourself.')
  }

  /** In a terminal, pasted text is not echoed: it holds a code, and may be thousands of characters. */
  showTyped(length: number): void {
    this.#typed = length
    if (this.#isTerminal && this.#shown !== undefined) this.#animate()
  }

  #animate(): void {
    this.#cancelTimer()
    this.#clearLine()
    process.stderr.write(
      this.#typed > 0
        ? `${this.#typed} characters. Press Enter to use them as the address.`
        : `Waiting for you to sign in ${'.'.repeat(this.#dots++ % 4)}`,
    )
    this.#cancelTimer = this.#clock.after(DOT_SECONDS, () => this.#animate())
  }

  #clearLine(): void {
    if (this.#isTerminal) process.stderr.write('\r\x1b[K')
  }

  end(): void {
    this.#cancelTimer()
    this.#clearLine()
  }
}
