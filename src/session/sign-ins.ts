// The sign-ins of one profile: at most one at a time, shared by all callers, and a pause before the next automatic prompt.
import { SignInError } from '../clerk/errors.ts'
import type { AuthorizationOptions } from '../clerk/identity-provider.ts'
import type { Clock } from '../host/clock.ts'
import type { DesktopEnvironment } from '../host/desktop.ts'
import { withTimeout } from '../host/timeout.ts'
import type { Status } from '../rpc/contract.ts'
import { ReplacedError, ShuttingDownError } from './errors.ts'
import type { PromptPause } from './prompt-pause.ts'
import { reasonOf } from './reason.ts'

/** A sign-in under way. */
export interface SignIn {
  readonly method: SignInMethod
  /** Whether the provider was told to ask again who the user is. */
  readonly prompt: AuthorizationOptions['prompt']
  /** Whether it replaces the session of another installation. */
  readonly takeOver: boolean
  /** Resolves when the user is signed in; rejects with the reason if not. */
  readonly finished: Promise<void>
  /** Resolves when the user can act: the link or the code is known. Rejects as `finished` does. */
  readonly started: Promise<void>
  readonly isDone: boolean
  readonly authorizationUrl: string | null
  readonly deviceAuthorization: Status['deviceAuthorization']
  /** Whether the user has been shown anything, and so knows of a failure. */
  readonly hasShown: boolean
  /** Gives the user at least this many seconds from now. */
  extend(seconds: number): void
  /** Opens the browser, if this sign-in uses one. @throws SignInError if it does not open */
  openBrowser(environment?: DesktopEnvironment): Promise<void>
  /** Waits for the link of a caller that shows it itself. */
  waitForLink(): Promise<void>
  /** Ends the sign-in without success. Does nothing once it is committing or done. */
  fail(error: unknown): void
}

export type SignInMethod = 'browser' | 'device'

export interface SignInsOptions {
  readonly clock: Clock
  readonly pause: PromptPause
  /** Creates and starts a sign-in. */
  readonly start: (options: LoginOptions) => SignIn
  /** Called when a sign-in has failed. */
  readonly onFailed: (error: unknown) => void
  /** Called when the provider failed before the user saw anything. */
  readonly onUnavailable: (error: unknown) => void
}

export interface LoginOptions {
  readonly openBrowser: boolean
  /** Whether to wait for the user, or only for the authorization URL. */
  readonly wait: boolean
  readonly timeoutSeconds: number
  /** How the user wants to sign in; undefined if any way is right. */
  readonly method?: SignInMethod | undefined
  /** Whether the user wants to choose another account. */
  readonly prompt?: AuthorizationOptions['prompt']
  /** Whether the user wants to sign in here although the session file belongs to another installation. */
  readonly takeOver?: boolean | undefined
  /** The desktop variables of the client, for this sign-in's browser alone. */
  readonly environment?: DesktopEnvironment | undefined
  /** False if no person has just asked for it: then the pause after unanswered sign-ins holds. */
  readonly userAsked?: boolean | undefined
}

export class SignIns {
  readonly #options: SignInsOptions
  #latest: SignIn | undefined
  #lastFailure: { readonly lastError: string; readonly at: number } | null = null
  /** The pause that is being saved: callers are told of a failure once a restart would know it too. */
  #pausing: Promise<void> = Promise.resolve()
  #cancellations = 0
  #isStopped = false

  constructor(options: SignInsOptions) {
    this.#options = options
  }

  /** The sign-in under way, if any. */
  get current(): SignIn | undefined {
    return this.#latest?.isDone === false ? this.#latest : undefined
  }

  /** Why the last sign-in failed, and when in Unix seconds; null if none failed since the last one succeeded. */
  get lastFailure(): { readonly lastError: string; readonly at: number } | null {
    return this.#lastFailure
  }

  clearLastFailure(): void {
    this.#lastFailure = null
  }

  /** How many calls have asked to cancel: a caller that was there before one of them starts no sign-in after it. */
  get cancellations(): number {
    return this.#cancellations
  }

  /** Whether a browser may open although no person has just asked for it. */
  get mayPrompt(): boolean {
    return this.current !== undefined || this.#options.pause.mayPrompt
  }

  /** A person has just asked: browsers may open by themselves again. */
  async endPause(): Promise<void> {
    await this.#options.pause.end()
  }

  /**
   * Starts a sign-in, or joins the one under way. One that wants more than that replaces it.
   * @throws SignInError, also when `timeoutSeconds` have passed; what starting a sign-in throws
   */
  async login(options: LoginOptions): Promise<void> {
    const { openBrowser, wait, timeoutSeconds, environment } = options
    const end = this.#options.clock.monotonic() + timeoutSeconds
    while (this.current && !suits(this.current, options)) {
      const { current } = this
      current.fail(new ReplacedError())
      // Its callers look for the next sign-in at once. One that is being saved is let through.
      if (current.isDone) this.#start(options)
      else await current.finished.catch(() => undefined)
    }
    const signIn = this.current ?? this.#start(options)
    signIn.extend(timeoutSeconds)
    // A client that asks again by itself, while the page of its last call is open, gets no second page.
    const opens = openBrowser && (options.userAsked !== false || !signIn.hasShown)
    const shown = opens ? signIn.openBrowser(environment) : signIn.waitForLink()
    shown.catch(() => undefined) // told to callers that wait
    const done: Promise<unknown> = wait ? Promise.all([signIn.finished, shown]) : signIn.started
    try {
      await withTimeout(this.#options.clock, timeoutSeconds, done, () => new SignInError('timeout'))
    } catch (error) {
      if (!(error instanceof ReplacedError)) throw error
      await this.#follow(wait, end)
    } finally {
      await this.#pausing
    }
  }

  /** Waits for the sign-in that has replaced the caller's. @param end monotonic seconds at which the caller's time is over */
  async #follow(wait: boolean, end: number): Promise<void> {
    const { current } = this
    if (!current) throw new SignInError('cancelled') // it could not even start
    const timeoutSeconds = Math.max(0, end - this.#options.clock.monotonic())
    await this.login({ openBrowser: false, wait, timeoutSeconds, method: current.method })
  }

  /** Ends the sign-in under way; one that is being saved is let through. Resolves when it has ended. */
  async cancel(): Promise<void> {
    this.#cancellations++
    const { current } = this
    current?.fail(new SignInError('cancelled'))
    await current?.finished.catch(() => undefined)
    await this.#pausing
  }

  /** Ends the sign-in under way because the daemon stops, and starts none from now on. */
  stop(): void {
    this.#isStopped = true
    this.current?.fail(new ShuttingDownError())
  }

  #start(options: LoginOptions): SignIn {
    if (this.#isStopped) throw new ShuttingDownError()
    const signIn = this.#options.start(options)
    this.#latest = signIn
    signIn.finished.then(
      () => {
        this.#pausing = this.#options.pause.end()
      },
      (error: unknown) => this.#failed(signIn, error),
    )
    return signIn
  }

  #failed(signIn: SignIn, error: unknown): void {
    if (error instanceof ReplacedError) return
    const { clock, pause, onFailed, onUnavailable } = this.#options
    if (!(error instanceof ShuttingDownError)) {
      this.#lastFailure = { lastError: reasonOf(error), at: Math.floor(clock.now()) }
      const isCancelled = error instanceof SignInError && error.reason === 'cancelled'
      if (isCancelled) this.#pausing = pause.cancelled()
      else if (signIn.hasShown || error instanceof SignInError) this.#pausing = pause.failed()
      else onUnavailable(error)
    }
    onFailed(error)
  }
}

/** Whether a caller can join this sign-in: it has the caller's method, asks for the account and takes over as the caller wishes. */
function suits(running: SignIn, { method = running.method, prompt, takeOver = false }: LoginOptions): boolean {
  // Another device asks its user for the account anyway.
  const asks = prompt === undefined || running.prompt === prompt || method === 'device'
  return method === running.method && asks && (running.takeOver || !takeOver)
}
