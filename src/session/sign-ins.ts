// The sign-ins of one profile: at most one at a time, shared by all callers, and a pause before the next automatic prompt.
import { SignInError } from '../clerk/errors.ts'
import type { Clock } from '../host/clock.ts'
import type { DesktopEnvironment } from '../host/desktop.ts'
import { withTimeout } from '../host/timeout.ts'
import { ShuttingDownError } from './errors.ts'
import type { PromptPause } from './prompt-pause.ts'
import { reasonOf } from './reason.ts'
import type { SignIn } from './sign-in.ts'

export interface SignInsOptions {
  readonly clock: Clock
  readonly pause: PromptPause
  /** Creates and starts a sign-in. */
  readonly start: (takeOver: boolean) => SignIn
  /** Called when a sign-in has failed. */
  readonly onFailed: (error: unknown) => void
  /** Called when the provider failed before the person saw anything. */
  readonly onUnavailable: (error: unknown) => void
}

export interface LoginOptions {
  readonly openBrowser: boolean
  /** Whether to wait for the person, or only for the authorization URL. */
  readonly wait: boolean
  readonly timeoutSeconds: number
  /** Whether the person wants to sign in here although the session file belongs to another installation. */
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

  /** Whether a browser may open although no person has just asked for it. */
  get mayPrompt(): boolean {
    return this.current !== undefined || this.#options.pause.mayPrompt
  }

  /** A person has just asked: browsers may open by themselves again. */
  async endPause(): Promise<void> {
    await this.#options.pause.end()
  }

  /**
   * Starts a sign-in, or joins the one under way.
   * @throws SignInError, also when `timeoutSeconds` have passed; what starting a sign-in throws
   */
  async login({ openBrowser, wait, timeoutSeconds, environment, takeOver = false }: LoginOptions): Promise<void> {
    const signIn = this.current ?? this.#start(takeOver)
    signIn.extend(timeoutSeconds)
    const shown = openBrowser ? signIn.openBrowser(environment) : signIn.waitForLink()
    shown.catch(() => undefined) // told to callers that wait
    const done: Promise<unknown> = wait ? Promise.all([signIn.finished, shown]) : signIn.started
    try {
      await withTimeout(this.#options.clock, timeoutSeconds, done, () => new SignInError('timeout'))
    } finally {
      await this.#pausing
    }
  }

  /** Ends the sign-in under way; one that is being saved is let through. Resolves when it has ended. */
  async cancel(): Promise<void> {
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

  #start(takeOver: boolean): SignIn {
    if (this.#isStopped) throw new ShuttingDownError()
    const signIn = this.#options.start(takeOver)
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
    const { clock, pause, onFailed, onUnavailable } = this.#options
    this.#lastFailure = { lastError: reasonOf(error), at: Math.floor(clock.now()) }
    const isTimeout = error instanceof SignInError && error.reason === 'timeout'
    if (error instanceof ShuttingDownError) this.#lastFailure = null
    else if (signIn.hasShown || error instanceof SignInError) this.#pausing = pause.failed(isTimeout)
    else onUnavailable(error)
    onFailed(error)
  }
}
