// What a user sees while a command waits for a sign-in: the link, or the code for another device, and that it is waiting.
import type { Clock } from '../host/clock.ts'
import type { Status } from '../rpc/contract.ts'
import { describeSpan, note } from './terminal.ts'

type DeviceAuthorization = NonNullable<Status['deviceAuthorization']>

const DOT_SECONDS = 0.5

/** Shows each new link and each new code, and in a terminal that the command is waiting. */
export class SignInDisplay {
  readonly #clock: Clock
  readonly #opensBrowser: boolean
  readonly #isTerminal = process.stderr.isTTY === true
  #link: string | undefined
  #userCode: string | undefined
  #typed = 0
  #dots = 0
  #cancelTimer: () => void = () => undefined

  constructor(clock: Clock, opensBrowser: boolean) {
    this.#clock = clock
    this.#opensBrowser = opensBrowser
  }

  /** The link that the user saw last, if its sign-in is the one that runs. */
  get link(): string | undefined {
    return this.#link
  }

  /** Shows what is new in a status. */
  show({ authorizationUrl, deviceAuthorization }: Pick<Status, 'authorizationUrl' | 'deviceAuthorization'>): void {
    if (authorizationUrl !== null) this.showLink(authorizationUrl)
    // Undefined from a daemon of an earlier version, which an update has left running.
    if (deviceAuthorization) void this.#showCode(deviceAuthorization)
  }

  showLink(url: string): void {
    if (url === this.#link) return
    this.#link = url
    this.#clearLine()
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

  async #showCode(device: DeviceAuthorization): Promise<void> {
    const { userCode, verificationUri, verificationUriComplete, expiresAt } = device
    if (userCode === this.#userCode) return
    this.#userCode = userCode
    const isInstead = this.#link !== undefined
    this.#link = undefined
    const { qrCode } = await import('./qr-code.ts')
    const code = qrCode(verificationUriComplete ?? verificationUri, process.stderr)
    this.#clearLine()
    if (isInstead)
      note('No browser could be opened: sign in on another device instead. The link above does not work any more.')
    note('To sign in, open this page on any device, such as your phone:')
    note(`\n  ${verificationUri}\n`)
    const lifetime = describeSpan(Math.max(0, Math.round(expiresAt - this.#clock.now())))
    note(`and enter this code, which is valid for ${lifetime}:\n\n  ${userCode}\n`)
    if (code !== undefined) note(`Or scan this:\n\n${code}\n`)
    note('Continue only on a page of CADZERO or Clerk, and only if it shows the same code.')
    if (this.#isTerminal) this.#animate()
    else note('Waiting for you to sign in …')
  }

  showNoBrowser(): void {
    this.#clearLine()
    note('No browser could be opened: open the link above yourself.')
  }

  /** In a terminal, pasted text is not echoed: it holds a code, and may be thousands of characters. */
  showTyped(length: number): void {
    this.#typed = length
    if (this.#isTerminal && this.#link !== undefined) this.#animate()
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
