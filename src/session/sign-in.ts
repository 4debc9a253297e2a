// One sign-in from the browser's start to the saved session: one listener, one request, one outcome.

import type { CallbackAddress, CallbackListener } from '../callback/callback-listener.ts'
import type { Outcome } from '../callback/outcome.ts'
import { CallbackRefusedError, type RefusedReason, SignInError } from '../clerk/errors.ts'
import type { AuthorizationRequest, Grant, IdentityProvider } from '../clerk/identity-provider.ts'
import { ConfigurationError } from '../config/errors.ts'
import type { OpenBrowser } from '../host/browser.ts'
import type { CancelTimer, Clock } from '../host/clock.ts'
import { errorCode } from '../host/files.ts'
import type { SocketOwnerCheck } from '../host/socket-owner.ts'

export interface SignInOptions {
  readonly profile: string
  readonly provider: IdentityProvider
  readonly callbackAddress: CallbackAddress
  readonly clock: Clock
  readonly openBrowser: OpenBrowser
  readonly isOtherUser: SocketOwnerCheck
  /** Makes sure that a session could be saved, before a person is bothered. @throws StoreError */
  readonly prepare: () => Promise<unknown>
  /** Saves and publishes what the person has signed in to. Throws where the sign-in was cancelled meanwhile. */
  readonly commit: (grant: Grant, signIn: SignIn) => Promise<void>
  /** The e-mail address of who is likely to sign in. */
  readonly loginHint: () => Promise<string | undefined>
  /** Called when something came back that was not taken. */
  readonly onRefused: (reason: RefusedReason) => void
  /** Called when the authorization URL is known. */
  readonly onStarted: () => void
}

const REOPEN_SECONDS = 5 // asked again sooner than this, it is the same click; later, the person has closed the tab

const PORT_FREE_SECONDS = 1 // by then the sign-in before this one has shown its last page and left a fixed port

export class SignIn {
  readonly #options: SignInOptions
  readonly #finish: PromiseWithResolvers<void> = withResolvers()
  readonly #start: PromiseWithResolvers<void> = withResolvers()
  #request: AuthorizationRequest | undefined
  #listener: CallbackListener | undefined
  #outcome: 'open' | 'claimed' | 'settled' = 'open'
  #openedAt: number | undefined
  #reopened = false
  #committing = false
  #linkIsUsed = false
  #wantsBrowser = false
  #deadline = 0
  #cancelDeadline: CancelTimer = () => undefined

  constructor(options: SignInOptions) {
    this.#options = options
    this.finished.catch(() => undefined) // whoever waits is told; nobody need wait
    this.started.catch(() => undefined)
    void this.#run()
  }

  /** Resolves when the person is signed in; rejects with why not. */
  get finished(): Promise<void> {
    return this.#finish.promise
  }

  /** Resolves when the authorization URL is known; rejects as `finished` does. */
  get started(): Promise<void> {
    return this.#start.promise
  }

  get authorizationUrl(): string | null {
    return this.#request?.url ?? null
  }

  /** Whether the browser has been sent somewhere, so that a failure now is the person's to know of. */
  get hasShown(): boolean {
    return this.#openedAt !== undefined
  }

  /** Gives the person at least so long from now. */
  extend(seconds: number): void {
    const end = this.#options.clock.monotonic() + seconds
    if (end <= this.#deadline || this.#outcome === 'settled') return
    this.#deadline = end
    this.#cancelDeadline()
    this.#cancelDeadline = this.#options.clock.after(seconds, () => this.fail(new SignInError('timeout')))
  }

  /**
   * Opens the browser as soon as there is something to show; not twice for what is one wish.
   * @throws SignInError where it does not open; the sign-in goes on for those who do not hang on that
   */
  async show(): Promise<void> {
    this.#wantsBrowser = true
    await this.started
    const { clock } = this.#options
    if (this.#openedAt !== undefined && clock.monotonic() - this.#openedAt < REOPEN_SECONDS) return
    await this.#open()
  }

  /** Somebody shows the link in their own way, and needs no browser of ours. */
  async waitForLink(): Promise<void> {
    this.#linkIsUsed = true
    await this.started
  }

  /** Takes it for committing: from then on it can fail no more by a cancel or a timeout. False where it has ended. */
  claim(): boolean {
    if (this.#outcome !== 'open') return false
    this.#outcome = 'claimed'
    return true
  }

  /** Ends it without success. Harmless where it has ended, or is being committed. */
  fail(error: Error): void {
    if (this.#outcome !== 'open') return
    this.#settle(() => {
      this.#start.reject(error)
      this.#finish.reject(error)
    })
  }

  get #hasEnded(): boolean {
    return this.#outcome === 'settled'
  }

  async #run(): Promise<void> {
    try {
      await this.#options.prepare()
      this.#listener = await this.#listen()
      if (this.#hasEnded) return void this.#listener.close()
      const { provider, loginHint } = this.#options
      const request = await provider.authorize(this.#listener.redirectUri, await loginHint())
      if (this.#hasEnded) return void this.#listener.close()
      this.#listener.expect(request.state)
      this.#request = request
      this.#options.onStarted()
      this.#start.resolve()
    } catch (error) {
      void this.#listener?.close() // also where it was cancelled meanwhile
      this.fail(error as Error)
    }
  }

  async #listen(): Promise<CallbackListener> {
    const { CallbackListener } = await import('../callback/callback-listener.ts')
    const { callbackAddress, clock, profile, isOtherUser } = this.#options
    const open = () =>
      CallbackListener.listen({
        address: callbackAddress,
        clock,
        isOtherUser,
        onCallback: (callback) => this.#complete(callback),
        onInterrupted: () => this.#reopenOnce(),
      })
    const isTaken = (error: unknown) => errorCode(error) === 'EADDRINUSE'
    try {
      return await open().catch(async (error: unknown) => {
        if (!isTaken(error)) throw error
        await clock.wait(PORT_FREE_SECONDS)
        return await open()
      })
    } catch (error) {
      if (!isTaken(error) && errorCode(error) !== 'EACCES') throw error
      throw new ConfigurationError(`profiles.${profile}.redirectPort`, 'a port that no other program uses, or 0')
    }
  }

  async #complete(callback: URL): Promise<Outcome> {
    if (!this.#request || this.#outcome === 'settled') return 'failed'
    try {
      const grant = await this.#request.exchange(callback)
      if (this.#committing) return await this.#sharedOutcome() // two that are both good came side by side
      this.#committing = true
      await this.#options.commit(grant, this)
      this.#settle(() => this.#finish.resolve())
      return 'signedIn'
    } catch (error) {
      if (error instanceof CallbackRefusedError) {
        this.#options.onRefused(error.reason)
        return error.reason
      }
      this.#settle(() => this.#finish.reject(error))
      return error instanceof SignInError && error.reason === 'access_denied' ? 'denied' : 'failed'
    }
  }

  #sharedOutcome(): Promise<Outcome> {
    return this.finished.then(
      () => 'signedIn',
      () => 'failed',
    )
  }

  async #open(): Promise<void> {
    const url = this.authorizationUrl
    if (url === null || this.#outcome === 'settled') return
    const isOnlyWay = this.#openedAt === undefined && !this.#linkIsUsed
    this.#openedAt = this.#options.clock.monotonic()
    try {
      await this.#options.openBrowser(url)
    } catch {
      const error = new SignInError('browser')
      if (isOnlyWay) this.fail(error)
      throw error
    }
  }

  // A browser that was signed out may have lost the request at Clerk's sign-in page; now it is signed in.
  #reopenOnce(): void {
    if (this.#reopened || !this.#wantsBrowser) return
    this.#reopened = true
    this.#open().catch(() => undefined) // the link is there still
  }

  #settle(tell: () => void): void {
    if (this.#outcome === 'settled') return
    this.#outcome = 'settled'
    this.#cancelDeadline()
    void this.#listener?.close()
    tell()
  }
}

interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
