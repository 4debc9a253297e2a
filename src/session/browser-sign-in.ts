// A sign-in with the browser of this computer: one callback listener, one authorization request.
// A refused callback changes nothing: the sign-in keeps waiting for the right one. The rest is kept by sign-in-attempt.ts.
import type { CallbackAddress, CallbackListener } from '../callback/callback-listener.ts'
import type { Outcome } from '../callback/outcome.ts'
import type { CallbackRefusal } from '../callback/refusal.ts'
import { CallbackRefusedError, type RefusedReason, SignInError } from '../clerk/errors.ts'
import type { AuthorizationOptions, AuthorizationRequest, IdentityProvider } from '../clerk/identity-provider.ts'
import type { OpenBrowser } from '../host/browser.ts'
import type { DesktopEnvironment } from '../host/desktop.ts'
import { errorCode } from '../host/files.ts'
import type { FindSocketOwner } from '../host/socket-owner.ts'
import { CallbackPortError } from './errors.ts'
import { SignInAttempt, type SignInAttemptOptions } from './sign-in-attempt.ts'
import type { SignIn } from './sign-ins.ts'

export interface BrowserSignInOptions extends SignInAttemptOptions {
  readonly profile: string
  readonly provider: Pick<IdentityProvider, 'authorize' | 'retire'>
  readonly callbackAddress: CallbackAddress
  readonly openBrowser: OpenBrowser
  readonly socketOwner: FindSocketOwner
  /** The fixed callback ports of the sign-ins that wait, with their profiles. */
  readonly callbackPorts: Map<number, string>
  /** Makes sure that a session can be saved, before the user is asked. @throws StoreError */
  readonly prepare: () => Promise<unknown>
  /** Whether the provider must ask again who the user is. */
  readonly prompt: AuthorizationOptions['prompt']
  /** Whether the user has agreed to replace the session of another installation. */
  readonly takeOver: boolean
  /** What an earlier session says about the user who is likely to sign in. */
  readonly hints: () => Promise<AuthorizationOptions>
  readonly onRefused: (reason: RefusedReason | CallbackRefusal) => void
  /** Called when the browser is about to open. */
  readonly onOpening: () => void
  /** Called when the authorization URL is known. */
  readonly onWaiting: () => void
}

/** What the user has seen of it so far. */
interface Shown {
  /** Monotonic seconds of the last time the browser was opened. */
  readonly openedAt: number | undefined
  /** Whether the browser has been opened again after Clerk lost the request. */
  readonly reopened: boolean
  /** Whether a caller wants the browser; a caller that shows the link itself does not. */
  readonly wanted: boolean
  readonly linkIsUsed: boolean
}

const REOPEN_SECONDS = 5 // a second request within this time is a double click; later, the user has closed the tab
const PORT_FREE_SECONDS = 1 // by then the sign-in before this one has shown its last page and left a fixed port

export class BrowserSignIn implements SignIn {
  readonly method = 'browser'
  readonly deviceAuthorization = null
  readonly #options: BrowserSignInOptions
  readonly #attempt: SignInAttempt
  #listener: CallbackListener | undefined
  #request: AuthorizationRequest | undefined
  #shown: Shown = { openedAt: undefined, reopened: false, wanted: false, linkIsUsed: false }
  #environment: DesktopEnvironment | undefined
  /** What the last page shows of the user. */
  #signedInAs: string | null = null

  constructor(options: BrowserSignInOptions) {
    this.#options = options
    this.#attempt = new SignInAttempt(options, () => this.#close())
    void this.#start()
  }

  get prompt(): AuthorizationOptions['prompt'] {
    return this.#options.prompt
  }

  get takeOver(): boolean {
    return this.#options.takeOver
  }

  get finished(): Promise<void> {
    return this.#attempt.finished
  }

  get started(): Promise<void> {
    return this.#attempt.started
  }

  get isDone(): boolean {
    return this.#attempt.isDone
  }

  get authorizationUrl(): string | null {
    return this.#request?.url ?? null
  }

  get hasShown(): boolean {
    return this.#shown.openedAt !== undefined
  }

  extend(seconds: number): void {
    this.#attempt.extend(seconds)
  }

  /**
   * Opens the browser as soon as the authorization URL is known. A second call within five seconds opens nothing.
   * @param environment the desktop variables of the client, for this sign-in's browser alone
   * @throws SignInError if it does not open; the sign-in continues for callers that use the link
   */
  async openBrowser(environment?: DesktopEnvironment): Promise<void> {
    if (environment !== undefined) this.#environment = environment
    this.#shown = { ...this.#shown, wanted: true }
    await this.started
    const { openedAt } = this.#shown
    if (openedAt !== undefined && this.#options.clock.monotonic() - openedAt < REOPEN_SECONDS) return
    await this.#open()
  }

  /** Waits for the authorization URL of a caller that shows it itself. */
  async waitForLink(): Promise<void> {
    this.#shown = { ...this.#shown, linkIsUsed: true }
    await this.started
  }

  fail(error: unknown): void {
    this.#attempt.fail(error)
  }

  async #start(): Promise<void> {
    const { profile, provider, prepare, hints, prompt, onWaiting, callbackAddress, callbackPorts } = this.#options
    try {
      await prepare()
      const listener = await this.#listen()
      if (this.isDone) return void listener.close() // cancelled in the meantime
      if (callbackAddress.port !== 0) callbackPorts.set(callbackAddress.port, profile)
      this.#listener = listener
      // A user who wants another account gets no hint at the earlier one.
      const request = await provider.authorize(listener.redirectUri, prompt ? { prompt } : await hints())
      if (this.isDone) return
      listener.expect(request.state, request.mayLackState)
      this.#request = request
      onWaiting()
      this.#attempt.start()
    } catch (error) {
      this.fail(error)
    }
  }

  async #listen(): Promise<CallbackListener> {
    const { CallbackListener } = await import('../callback/callback-listener.ts')
    const { profile, callbackAddress, clock, socketOwner, callbackPorts, onRefused } = this.#options
    const open = () =>
      CallbackListener.listen({
        address: callbackAddress,
        clock,
        socketOwner,
        onRefused,
        onCallback: (callback) => this.#complete(callback),
        signedInAs: () => this.#signedInAs,
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
      throw new CallbackPortError(profile, callbackPorts.get(callbackAddress.port))
    }
  }

  #leavePort(): void {
    const { profile, callbackAddress, callbackPorts } = this.#options
    if (callbackPorts.get(callbackAddress.port) === profile) callbackPorts.delete(callbackAddress.port)
  }

  async #complete(callback: URL): Promise<Outcome> {
    if (this.#request === undefined) return 'failed'
    try {
      const grant = await this.#request.exchange(callback)
      if (!this.isDone) this.#signedInAs = grant.user.email ?? grant.user.name
      return await this.#attempt.commit(grant)
    } catch (error) {
      if (error instanceof CallbackRefusedError) {
        this.#options.onRefused(error.reason)
        return error.reason
      }
      this.fail(error)
      return error instanceof SignInError && error.reason === 'access_denied' ? 'denied' : 'failed'
    }
  }

  async #open(): Promise<void> {
    const url = this.authorizationUrl
    if (url === null) return
    const { openedAt, linkIsUsed } = this.#shown
    const isOnlyWay = openedAt === undefined && !linkIsUsed
    this.#shown = { ...this.#shown, openedAt: this.#options.clock.monotonic() }
    this.#options.onOpening()
    try {
      await this.#options.openBrowser(url, this.#environment)
    } catch {
      const error = new SignInError('browser')
      if (isOnlyWay) this.fail(error)
      throw error
    }
  }

  // A browser that was signed out may have lost the request at Clerk's sign-in page; by now it is signed in.
  #reopenOnce(): void {
    const { reopened, wanted } = this.#shown
    if (reopened || !wanted) return
    this.#shown = { ...this.#shown, reopened: true }
    this.#open().catch(() => undefined) // the link still works
  }

  #close(): void {
    this.#request = undefined
    this.#environment = undefined
    this.#leavePort()
    void this.#listener?.close()
  }
}
