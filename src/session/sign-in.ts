// One sign-in, from the browser's start to the saved session: one callback listener, one authorization request, one outcome.
// Invariants:
// - A refused callback changes nothing: the sign-in keeps waiting for the right one.
// - Whether a grant is still wanted is decided inside the mutex, together with saving it: a logout or a cancel cannot come between.
// - From `committing` on, a cancel or a timeout comes too late.
// - A grant that is not kept is retired at the provider.
import type { CallbackAddress, CallbackListener } from '../callback/callback-listener.ts'
import type { Outcome } from '../callback/outcome.ts'
import type { CallbackRefusal } from '../callback/refusal.ts'
import { CallbackRefusedError, type RefusedReason, SignInError } from '../clerk/errors.ts'
import type { AuthorizationRequest, Grant, IdentityProvider } from '../clerk/identity-provider.ts'
import type { OpenBrowser } from '../host/browser.ts'
import type { CancelTimer, Clock } from '../host/clock.ts'
import type { DesktopEnvironment } from '../host/desktop.ts'
import { errorCode } from '../host/files.ts'
import type { FindSocketOwner } from '../host/socket-owner.ts'
import { CallbackPortError } from './errors.ts'
import type { Mutex } from './mutex.ts'
import type { SignedIn } from './state.ts'

export interface SignInOptions {
  readonly profile: string
  readonly provider: IdentityProvider
  readonly callbackAddress: CallbackAddress
  readonly clock: Clock
  readonly openBrowser: OpenBrowser
  readonly socketOwner: FindSocketOwner
  /** The fixed callback ports of the sign-ins that wait, with their profiles. */
  readonly callbackPorts: Map<number, string>
  /** Held while the grant is saved. */
  readonly mutex: Mutex
  /** Makes sure that a session can be saved, before the user is asked. @throws StoreError */
  readonly prepare: () => Promise<unknown>
  /** The e-mail address of the user who is likely to sign in. */
  readonly loginHint: () => Promise<string | undefined>
  /** Saves the grant as a session. Called inside the mutex. @throws StoreError */
  readonly save: (grant: Grant) => Promise<SignedIn>
  /** Called inside the mutex when the session is saved and the sign-in is done. */
  readonly onSignedIn: (signedIn: SignedIn) => void
  readonly onRefused: (reason: RefusedReason | CallbackRefusal) => void
  /** Called when the authorization URL is known. */
  readonly onWaiting: () => void
}

type Phase =
  | { readonly kind: 'starting'; readonly listener?: CallbackListener }
  | { readonly kind: 'waiting'; readonly request: AuthorizationRequest; readonly listener: CallbackListener }
  | { readonly kind: 'committing'; readonly request: AuthorizationRequest; readonly listener: CallbackListener }
  | { readonly kind: 'done' }

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

export class SignIn {
  readonly #options: SignInOptions
  readonly #finished = withResolvers<void>()
  readonly #started = withResolvers<void>()
  #phase: Phase = { kind: 'starting' }
  #shown: Shown = { openedAt: undefined, reopened: false, wanted: false, linkIsUsed: false }
  #environment: DesktopEnvironment | undefined
  #deadline = 0
  #cancelDeadline: CancelTimer = () => undefined

  constructor(options: SignInOptions) {
    this.#options = options
    this.finished.catch(() => undefined) // waiting callers get the error; there may be none
    this.started.catch(() => undefined)
    void this.#start()
  }

  /** Resolves when the user is signed in; rejects with the reason if not. */
  get finished(): Promise<void> {
    return this.#finished.promise
  }

  /** Resolves when the authorization URL is known; rejects as `finished` does. */
  get started(): Promise<void> {
    return this.#started.promise
  }

  get isDone(): boolean {
    return this.#phase.kind === 'done'
  }

  get authorizationUrl(): string | null {
    return 'request' in this.#phase ? this.#phase.request.url : null
  }

  /** Whether a browser has been opened, so that the user has seen a failure. */
  get hasShown(): boolean {
    return this.#shown.openedAt !== undefined
  }

  /** Gives the user at least this many seconds from now. */
  extend(seconds: number): void {
    const end = this.#options.clock.monotonic() + seconds
    if (end <= this.#deadline || this.isDone) return
    this.#deadline = end
    this.#cancelDeadline()
    this.#cancelDeadline = this.#options.clock.after(seconds, () => this.fail(new SignInError('timeout')))
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

  /** Ends the sign-in without success. Does nothing once it is committing or done. */
  fail(error: unknown): void {
    if (this.#phase.kind === 'committing') return
    this.#end(() => {
      this.#started.reject(error)
      this.#finished.reject(error)
    })
  }

  async #start(): Promise<void> {
    const { profile, provider, prepare, loginHint, onWaiting, callbackAddress, callbackPorts } = this.#options
    try {
      await prepare()
      const listener = await this.#listen()
      if (this.isDone) return void listener.close() // cancelled in the meantime
      if (callbackAddress.port !== 0) callbackPorts.set(callbackAddress.port, profile)
      this.#phase = { kind: 'starting', listener }
      const request = await provider.authorize(listener.redirectUri, await loginHint())
      if (this.isDone) return
      listener.expect(request.state)
      this.#phase = { kind: 'waiting', request, listener }
      onWaiting()
      this.#started.resolve()
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
    if (!('request' in this.#phase)) return 'failed'
    try {
      const grant = await this.#phase.request.exchange(callback)
      return await this.#options.mutex.run(() => this.#commit(grant))
    } catch (error) {
      if (error instanceof CallbackRefusedError) {
        this.#options.onRefused(error.reason)
        return error.reason
      }
      this.fail(error)
      return error instanceof SignInError && error.reason === 'access_denied' ? 'denied' : 'failed'
    }
  }

  /** Runs inside the mutex. A second grant, or one that comes after a cancel, is retired. */
  async #commit(grant: Grant): Promise<Outcome> {
    const { provider, save, onSignedIn } = this.#options
    if (this.#phase.kind !== 'waiting') {
      void provider.retire({ ...grant, generation: 1 })
      return await this.finished.then(
        () => 'signedIn',
        () => 'failed',
      )
    }
    this.#phase = { ...this.#phase, kind: 'committing' }
    try {
      const signedIn = await save(grant)
      this.#end(() => {
        this.#finished.resolve() // first: whatever the other does, callers are told
        onSignedIn(signedIn)
      })
      return 'signedIn'
    } catch (error) {
      void provider.retire({ ...grant, generation: 1 })
      this.#end(() => this.#finished.reject(error))
      return 'failed'
    }
  }

  async #open(): Promise<void> {
    const url = this.authorizationUrl
    if (url === null) return
    const { openedAt, linkIsUsed } = this.#shown
    const isOnlyWay = openedAt === undefined && !linkIsUsed
    this.#shown = { ...this.#shown, openedAt: this.#options.clock.monotonic() }
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

  #end(tell: () => void): void {
    const phase = this.#phase
    if (phase.kind === 'done') return
    this.#phase = { kind: 'done' }
    this.#environment = undefined
    this.#cancelDeadline()
    this.#leavePort()
    if ('listener' in phase) void phase.listener?.close()
    tell()
  }
}

interface Resolvers<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

/** `Promise.withResolvers`, which Node 20 lacks. */
function withResolvers<T>(): Resolvers<T> {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
