// The sign-ins of one profile: at most one at a time, shared by all callers, and a pause before the next automatic prompt.
import { SignInError } from '../clerk/errors.ts'
import type { Clock } from '../host/clock.ts'
import { withTimeout } from '../host/timeout.ts'
import { ShuttingDownError } from './errors.ts'
import type { SignIn } from './sign-in.ts'

export interface SignInsOptions {
  readonly clock: Clock
  /** Creates and starts a sign-in. */
  readonly start: () => SignIn
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
}

const PROMPT_COOL_DOWN = 60 // s; a browser does not open by itself again right after the person has closed or ignored one

export class SignIns {
  readonly #options: SignInsOptions
  #latest: SignIn | undefined
  #coolUntil = 0
  #isStopped = false

  constructor(options: SignInsOptions) {
    this.#options = options
  }

  /** The sign-in under way, if any. */
  get current(): SignIn | undefined {
    return this.#latest?.isDone === false ? this.#latest : undefined
  }

  /** Whether a browser may open without the person having asked for it just now. */
  get mayPrompt(): boolean {
    return this.current !== undefined || this.#options.clock.monotonic() >= this.#coolUntil
  }

  /**
   * Starts a sign-in, or joins the one under way.
   * @throws SignInError, also when `timeoutSeconds` have passed; what starting a sign-in throws
   */
  async login({ openBrowser, wait, timeoutSeconds }: LoginOptions): Promise<void> {
    const signIn = this.current ?? this.#start()
    signIn.extend(timeoutSeconds)
    const shown = openBrowser ? signIn.openBrowser() : signIn.waitForLink()
    shown.catch(() => undefined) // told to callers that wait
    const done: Promise<unknown> = wait ? Promise.all([signIn.finished, shown]) : signIn.started
    await withTimeout(this.#options.clock, timeoutSeconds, done, () => new SignInError('timeout'))
  }

  /** Ends the sign-in under way; one that is being saved is let through. Resolves when it has ended. */
  async cancel(): Promise<void> {
    const { current } = this
    current?.fail(new SignInError('cancelled'))
    await current?.finished.catch(() => undefined)
  }

  /** Ends the sign-in under way because the daemon stops, and starts none from now on. */
  stop(): void {
    this.#isStopped = true
    this.current?.fail(new ShuttingDownError())
  }

  #start(): SignIn {
    if (this.#isStopped) throw new ShuttingDownError()
    const signIn = this.#options.start()
    this.#latest = signIn
    signIn.finished.then(
      () => {
        this.#coolUntil = 0
      },
      (error: unknown) => this.#failed(signIn, error),
    )
    return signIn
  }

  #failed(signIn: SignIn, error: unknown): void {
    const { clock, onFailed, onUnavailable } = this.#options
    if (signIn.hasShown || error instanceof SignInError) this.#coolUntil = clock.monotonic() + PROMPT_COOL_DOWN
    else onUnavailable(error)
    onFailed(error)
  }
}
