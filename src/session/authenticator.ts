// The session of one profile, as its clients know it: hands out headers, refreshes, signs in and out.
// Invariants, with the file that keeps each:
// - Disk before memory: persist before publishing, so that a crash cannot lose a token a client already holds (refresh.ts).
// - Mark before send: a refresh is noted on disk before its token is sent (session-writer.ts).
// - Set aside before overwrite: a file that could not be opened is kept when a person signs in again (sign-in-commit.ts).
// - Claim inside the mutex: refresh, logout and the commit of a sign-in never overlap (mutex.ts, sign-in-attempt.ts).
// - A refused callback keeps waiting (browser-sign-in.ts).
// - Only `invalid_grant` ends a session that can be refreshed; no fault of a network, a disk or a clock does (refresh.ts).
// - Reads have no effects: `status` and `readHeader` change nothing, send nothing and notify no client (state.ts).
import type { CallbackAddress } from '../callback/callback-listener.ts'
import { SignInError } from '../clerk/errors.ts'
import type { HandedOver, IdentityProvider, Revocation } from '../clerk/identity-provider.ts'
import type { Clock } from '../host/clock.ts'
import type { Host } from '../host/host.ts'
import { type Log, profileLog } from '../log/log.ts'
import type { AuthHeader } from '../rpc/contract.ts'
import { StoreError } from '../store/errors.ts'
import type { SessionStore } from '../store/store.ts'
import { CurrentSession } from './current-session.ts'
import { requireDeviceAuthorization } from './device-sign-in.ts'
import { InteractionRequiredError } from './errors.ts'
import { importSession } from './import-session.ts'
import type { LoginHint } from './login-hint.ts'
import { Mutex } from './mutex.ts'
import { newSignIn } from './new-sign-in.ts'
import type { PromptPause } from './prompt-pause.ts'
import { ProviderBackoff } from './provider-backoff.ts'
import { reasonOf } from './reason.ts'
import { MIN_VALIDITY, Refresher } from './refresher.ts'
import { SessionLoader } from './session-loader.ts'
import { SessionWriter } from './session-writer.ts'
import { SignInCommit } from './sign-in-commit.ts'
import { type LoginOptions, SignIns } from './sign-ins.ts'
import { signOut } from './sign-out.ts'
import type { Reading } from './state.ts'
import { describeStatus, type ProfileStatus } from './status.ts'
import { UserUpdates } from './user-updates.ts'

export interface AuthenticatorOptions {
  readonly profile: string
  readonly provider: IdentityProvider
  readonly callbackAddress: CallbackAddress
  readonly store: SessionStore
  readonly loginHint: LoginHint
  readonly promptPause: PromptPause
  /** The fixed callback ports of the sign-ins that wait, shared by all profiles. */
  readonly callbackPorts: Map<number, string>
  readonly host: Host
  readonly log: Log
  /** Called whenever the state, the user or the token has changed. */
  readonly onChange: (status: ProfileStatus) => void
  /** Called one day and one hour before the session ends, with the end in Unix seconds and the seconds until then. */
  readonly onExpiring: (sessionExpiresAt: number, inSeconds: number) => void
}

/** What several parts of a profile work with. */
interface SharedParts {
  readonly provider: IdentityProvider
  readonly writer: SessionWriter
  readonly mutex: Mutex
  readonly clock: Clock
  readonly log: Log
  readonly current: CurrentSession
  readonly loginHint: LoginHint
}

const SIGN_IN_TIMEOUT = 300 // s

export class Authenticator {
  readonly #options: AuthenticatorOptions
  readonly #backoff: ProviderBackoff
  readonly #parts: SharedParts
  readonly #current: CurrentSession
  readonly #loader: SessionLoader
  readonly #refresher: Refresher
  readonly #userUpdates: UserUpdates
  readonly #signIns: SignIns

  constructor(options: AuthenticatorOptions) {
    const { profile, provider, loginHint, promptPause, host } = options
    const { clock } = host
    this.#options = options
    this.#backoff = new ProviderBackoff(clock, host.random)
    const log = profileLog(options.log, profile)
    const writer = new SessionWriter(options.store, clock)
    const shared = { provider, writer, mutex: new Mutex(), clock, log }
    this.#current = new CurrentSession({
      ...shared,
      isRefreshing: () => this.#refresher.running !== undefined,
      onChange: () => this.#notify(),
      onExpiring: options.onExpiring,
    })
    this.#parts = { ...shared, current: this.#current, loginHint }
    this.#loader = new SessionLoader({ ...this.#parts, promptPause })
    this.#userUpdates = new UserUpdates(this.#parts)
    this.#refresher = new Refresher({
      ...this.#parts,
      backoff: this.#backoff,
      onRefreshed: () => this.#userUpdates.askIfDue(),
    })
    const commit = new SignInCommit({ ...this.#parts, onSignedIn: () => this.#forgetFailures() })
    const onWaiting = () => this.#notify()
    this.#signIns = new SignIns({
      clock,
      pause: promptPause,
      start: (wanted) => newSignIn(wanted, { ...options, ...this.#parts, loader: this.#loader, commit, onWaiting }),
      onUnavailable: (error) => void this.#backoff.failed(error),
      onFailed: (error) => {
        log.warn('sign_in_failed', { reason: reasonOf(error) })
        this.#notify()
      },
    })
  }

  /** Reads the saved session, once; a failed attempt is repeated by the next call. @throws StoreError */
  load(): Promise<void> {
    return this.#loader.load()
  }

  /** What a caller may be given right now. Changes nothing. */
  readHeader(minValiditySeconds = MIN_VALIDITY): Reading {
    return this.#current.readHeader(minValiditySeconds)
  }

  /**
   * Answers without waiting for anything of its own: the header in memory, starting a background refresh if one is due,
   * or the refresh that other callers wait for. Undefined, or a promise that rejects, if `authHeader` must be called.
   */
  serveFromMemory(minValiditySeconds?: number): AuthHeader | Promise<AuthHeader> | undefined {
    return this.#headerInMemory(minValiditySeconds) ?? this.#refresher.running
  }

  /**
   * Returns a header whose token is valid for `minValiditySeconds`. Refreshes if needed, and signs the user in if `interactive`.
   * @param userAsked whether a person has just asked for this, so that a browser may open although earlier ones were ignored
   * @throws InteractionRequiredError, SignInError, UnavailableError, RejectedError, StoreError
   */
  async authHeader(minValiditySeconds = MIN_VALIDITY, interactive = true, userAsked = false): Promise<AuthHeader> {
    const header = this.#headerInMemory(minValiditySeconds)
    if (header) return header
    await this.load()
    try {
      this.#current.requireSignedIn()
      return this.#headerInMemory(minValiditySeconds) ?? (await this.#refresher.refreshOrKeep())
    } catch (error) {
      if (!(error instanceof InteractionRequiredError) || !interactive) throw error
      if (userAsked) await this.#signIns.endPause()
      if (!this.#signIns.mayPrompt) throw error
    }
    const meanwhile = this.#headerInMemory(minValiditySeconds) // another caller's sign-in
    if (meanwhile) return meanwhile
    const isRunning = this.#signIns.current !== undefined
    if (!isRunning && this.#backoff.failure) throw this.#backoff.failure
    await this.#signIns.login({ openBrowser: !isRunning, wait: true, timeoutSeconds: SIGN_IN_TIMEOUT })
    return this.#headerInMemory(0) ?? (await this.#refresher.refreshOrKeep()) // the new token may have expired on arrival
  }

  /**
   * A header with a newly issued token, or the current one if `rejected` is the value of an older one.
   * @throws InteractionRequiredError, UnavailableError, RejectedError, StoreError
   */
  async refresh(rejected?: string): Promise<AuthHeader> {
    await this.load()
    const signedIn = this.#current.requireSignedIn()
    // A caller that sends the bare token by mistake must not be given the same one for ever.
    const token = rejected?.trim().replace(/^bearer /i, '')
    const isCurrent = token === undefined || token === signedIn.session.accessToken.value
    if (!isCurrent && this.#current.remaining(signedIn) > 0) return signedIn.header
    if (!signedIn.renewable) throw new InteractionRequiredError('session_expired')
    const header = await this.#refresher.refresh()
    const isRejected = header.headers.Authorization === `Bearer ${token}` // a newer session on disk may hold that very token
    return isRejected ? await this.#refresher.refresh() : header
  }

  /**
   * Starts a sign-in, or joins the running one.
   * @throws SignInError, StoreError, UnavailableError, RejectedError; InteractionRequiredError during the pause after
   *   unanswered sign-ins, if no person has asked for this one
   */
  async login(options: LoginOptions): Promise<void> {
    const { cancellations } = this.#signIns
    await this.load().catch((error: unknown) => {
      if (!isOverruled(error, options)) throw error
    })
    if (options.userAsked ?? true)
      await this.#signIns.endPause() // a call of `login` means that the user wants to sign in
    else if (!this.#signIns.mayPrompt) return void this.#current.requireSignedIn()
    if (options.method === 'device') await requireDeviceAuthorization(this.#options.provider)
    if (this.#signIns.cancellations !== cancellations) throw new SignInError('cancelled') // in the meantime, such as by Ctrl-C
    await this.#signIns.login(options)
  }

  /** Ends the sign-in under way; one that is being saved is let through. */
  async cancelLogin(): Promise<void> {
    await this.#signIns.cancel()
  }

  /**
   * Deletes the local session first, in every case, and then revokes it at the provider if that is possible.
   * @param sessionId sign out only if this is still the session; otherwise nothing changes
   * @throws StoreError if the file could not be deleted; the session is revoked all the same
   */
  async logout(sessionId?: string): Promise<Revocation> {
    if (sessionId === undefined) await this.cancelLogin()
    await this.load().catch(() => undefined) // a session that cannot be read can still be deleted
    const revocation = await signOut(sessionId, { ...this.#parts, onSignedOut: () => this.#backoff.reset() })
    return revocation ?? { revoked: false, accessTokenValidUntil: null }
  }

  /**
   * Takes over what an older add-in kept: its session if the token is still valid, otherwise only its user.
   * @returns what was taken over; `nothing` if a person is signed in already
   * @throws SignInError if Clerk did not issue the token to this person; UnavailableError, StoreError
   */
  async importSession(handed: HandedOver): Promise<'session' | 'user' | 'nothing'> {
    await this.load()
    await this.#loader.prepareKey()
    const imported = await this.#parts.mutex.run(() => importSession(handed, this.#parts))
    this.#parts.log.info('imported', { state: imported })
    return imported
  }

  /** Applies what the clock says: the end of a session that cannot be refreshed, and a wall clock that was set back. */
  followClock(): void {
    this.#current.followClock()
    this.#current.endIfOver()
  }

  /** Whether the session is in memory only, because it could not be saved. */
  get isUnsaved(): boolean {
    return this.#current.isUnsaved
  }

  /** The status without `daemon`. Changes nothing. */
  status(): ProfileStatus {
    return describeStatus({
      profile: this.#options.profile,
      state: this.#current.state,
      isOver: this.#current.isOver,
      signIn: this.#signIns.current,
      refresh: this.#refresher.status,
      lastSignIn: this.#signIns.lastFailure,
      keyProtection: this.#loader.keyProtection,
    })
  }

  /** Ends the sign-in under way, tries once more to save an unsaved session, and starts nothing new. */
  stop(): void {
    this.#refresher.stop()
    this.#current.stop()
    this.#userUpdates.stop()
    this.#signIns.stop()
  }

  /** Resolves when everything under way has reached the disk. */
  async settled(): Promise<void> {
    await this.#parts.mutex.idle()
    await this.#options.promptPause.settled()
  }

  #headerInMemory(minValiditySeconds?: number): AuthHeader | undefined {
    this.#current.followClock()
    const reading = this.readHeader(minValiditySeconds)
    if (reading.kind === 'ageing') this.#refresher.refreshInBackground()
    return 'header' in reading ? reading.header : undefined
  }

  // Before the new session is published, so that a client is not told the old failures together with it.
  #forgetFailures(): void {
    this.#backoff.reset()
    this.#refresher.clearLastError()
    this.#signIns.clearLastFailure()
    this.#userUpdates.postpone()
  }

  #notify(): void {
    this.#options.onChange(this.status())
  }
}

/** Whether the person's wish to sign in goes before a file that cannot be used; the file is kept under another name. */
function isOverruled(error: unknown, { takeOver = false, userAsked = true }: LoginOptions): boolean {
  if (!(error instanceof StoreError)) return false
  if (error.code === 'other_installation') return takeOver
  if (error.code === 'other_broker') return userAsked // the setting may be a mistake, which only a person can tell
  return error.code === 'key_missing' // a lost key does not come back
}
