// The heart: owns the session of one profile. Hands out headers, refreshes, signs in and out, and keeps what it has on disk.
import type { CallbackAddress } from '../callback/callback-listener.ts'
import {
  CallbackRefusedError,
  RejectedError,
  SessionEndedError,
  SignInError,
  UnavailableError,
} from '../clerk/errors.ts'
import type { Grant, HandedOver, IdentityProvider, Revocation } from '../clerk/identity-provider.ts'
import type { CancelTimer } from '../host/clock.ts'
import type { Host } from '../host/host.ts'
import type { Log } from '../log/log.ts'
import type { AuthHeader, Status } from '../rpc/contract.ts'
import { StoreError, type StoreProblem, storeErrorOf } from '../store/errors.ts'
import type { KeyProtection } from '../store/key.ts'
import type { Session } from '../store/session.ts'
import type { SessionStore } from '../store/store.ts'
import { InteractionRequiredError, ShuttingDownError, type SignedOutReason } from './errors.ts'
import type { KnownUserFile } from './login-hint.ts'
import { Turns } from './mutex.ts'
import { Backoff } from './provider-backoff.ts'
import { Retry } from './save-retry.ts'
import { keep, renewed, successor } from './session-writer.ts'
import { SignIn } from './sign-in.ts'
import { Validity } from './token-lifetime.ts'

export interface AuthenticatorOptions {
  readonly profile: string
  readonly provider: IdentityProvider
  readonly callbackAddress: CallbackAddress
  readonly store: SessionStore
  /** Who was signed in before there was a session of ours. */
  readonly knownUser: KnownUserFile
  readonly host: Host
  readonly log: Log
  /** Called whenever the state, the user or the token has changed. */
  readonly onChange: () => void
}

type State =
  | { readonly state: 'unknown' } // the store has not been read yet, or could not be
  | { readonly state: 'signed_out'; readonly reason: SignedOutReason }
  | {
      readonly state: 'signed_in'
      readonly session: Session
      readonly header: AuthHeader
      readonly validity: Validity
      /** Whether the provider could give it a new token; where not, it ends with its token. */
      readonly canRefresh: boolean
      /** Why the session is not on disk; null where it is. It serves from memory all the same. */
      readonly unsaved: StoreProblem | null
    }

type SignedIn = Extract<State, { state: 'signed_in' }>

export interface LoginOptions {
  readonly openBrowser: boolean
  /** Whether to wait for the person, or only for the authorization URL. */
  readonly wait: boolean
  readonly timeoutSeconds: number
}

const MIN_VALIDITY = 10 // s
const END_SECONDS = 0.1 // a timer may be a little early
const SIGN_IN_SECONDS = 300
const DISK_SECONDS = 10 // a full disk is not written to anew for each caller whose token ages
const QUIET_SECONDS = 60 // after a sign-in that failed, no browser opens by itself for so long

export class Authenticator {
  readonly #options: AuthenticatorOptions
  readonly #turns = new Turns()
  readonly #backoff: Backoff
  #state: State = { state: 'unknown' }
  #loading: Promise<void> | undefined
  #refreshing: Promise<AuthHeader> | undefined
  #signIn: SignIn | undefined
  #quietUntil = 0
  #diskRestsUntil = 0
  readonly #saveAgain: Retry
  /** Whether a refresh was under way when the daemon before this one ended. */
  #interrupted = false
  #cancelEnd: CancelTimer = () => undefined
  #lastFailure: UnavailableError | RejectedError | undefined
  #lastRefreshAt: number | null = null
  #lastRefreshError: string | null = null
  #keyProtection: KeyProtection | null = null
  #stopping = false

  constructor(options: AuthenticatorOptions) {
    this.#options = options
    this.#backoff = new Backoff(options.host.clock, options.host.random)
    this.#saveAgain = new Retry(options.host.clock, () => void this.#turns.run(() => this.#saveUnsaved()))
  }

  /**
   * Reads the saved session, once. Everything else does so by itself; this is for a daemon that starts.
   * @throws StoreError; the next call tries again
   */
  load(): Promise<void> {
    if (!this.#loading && this.#state.state === 'unknown') {
      this.#loading = this.#load().finally(() => {
        this.#loading = undefined
      })
    }
    return this.#loading ?? Promise.resolve()
  }

  /**
   * What most calls are answered by: the header that is in memory, or the one that others are waiting for already.
   * Undefined, or a promise that rejects, where `authHeader` has to be asked.
   */
  quickHeader(minValiditySeconds?: number): AuthHeader | Promise<AuthHeader> | undefined {
    return this.currentHeader(minValiditySeconds) ?? this.#refreshing
  }

  /** The header that is in memory, where its token is good for long enough. */
  currentHeader(minValiditySeconds = MIN_VALIDITY): AuthHeader | undefined {
    const current = this.#state
    if (current.state !== 'signed_in') return undefined
    const { validity, header } = current
    const { remaining } = validity
    // Nothing better is to be had than a token that cannot be renewed, however short it has become.
    if (!current.canRefresh) return remaining > 0 ? header : undefined
    if (!validity.lasts(minValiditySeconds, remaining)) return undefined
    // A provider that forgives a lost answer does so for a short while: the old token is tried again at the first chance.
    if (this.#interrupted || validity.isAgeing(remaining)) this.#refreshBehind()
    return header
  }

  /**
   * A header whose token is good for some time yet.
   * @throws InteractionRequiredError, SignInError, UnavailableError, RejectedError, StoreError
   */
  async authHeader(minValiditySeconds = MIN_VALIDITY, interactive = true): Promise<AuthHeader> {
    return this.currentHeader(minValiditySeconds) ?? (await this.#slowHeader(minValiditySeconds, interactive))
  }

  /** A header with a token newly issued; where `rejected` is another than the current one, the current one. */
  async refresh(rejected?: string): Promise<AuthHeader> {
    await this.load()
    const current = this.#requireSignedIn()
    // The bare token is taken as well: who sends it by mistake must not be given the same one for ever.
    const token = rejected?.trim().replace(/^bearer /i, '')
    const isCurrent = token === undefined || token === current.session.accessToken.value
    if (!isCurrent && current.validity.remaining > 0) return current.header
    if (!current.canRefresh) throw new InteractionRequiredError('session_expired')
    return await this.#refresh()
  }

  /** Starts a sign-in, or joins the one that runs. */
  async login(options: LoginOptions): Promise<void> {
    await this.load().catch(rethrowUnlessKeyMissing)
    const signIn = this.#signIn ?? this.#startSignIn()
    signIn.extend(options.timeoutSeconds)
    const shown = options.openBrowser ? signIn.show() : signIn.waitForLink()
    shown.catch(() => undefined) // whoever waits is told
    const done = options.wait ? Promise.all([signIn.finished, shown]) : signIn.started
    await this.#withTimeout(done, options.timeoutSeconds)
  }

  /** Ends a sign-in that runs; one that is being saved is let through. */
  async cancelLogin(): Promise<void> {
    const signIn = this.#signIn
    signIn?.fail(new SignInError('cancelled'))
    await signIn?.finished.catch(() => undefined)
  }

  /**
   * Deletes the session here first, whatever happens then, and revokes it at the provider as well as can be.
   * @throws StoreError where the file could not be deleted; it is revoked all the same
   */
  async logout(): Promise<Revocation> {
    await this.cancelLogin()
    await this.load().catch(() => undefined) // what cannot be read can still be deleted
    let failure: StoreError | undefined
    const session = await this.#turns.run(async () => {
      const before = this.#state
      await this.#options.store.purge().catch((error: StoreError) => {
        failure = error
      })
      await this.#options.knownUser.forget()
      this.#publish({ state: 'signed_out', reason: 'signed_out' })
      if (before.state === 'signed_in') return before.session
      return before.state === 'unknown' ? 'unreadable' : undefined
    })
    this.#backoff.succeeded()
    const nothing = { revoked: session === undefined, accessTokenValidUntil: null }
    const revocation = typeof session === 'object' ? await this.#options.provider.revoke(session) : nothing
    this.#options.log.info('signed_out', { profile: this.#options.profile, revoked: revocation.revoked })
    if (failure) throw failure
    return revocation
  }

  /**
   * Takes over what another program of CADZERO's has kept: its session while its token lives, or who it was.
   * @returns what was taken; nothing where somebody is signed in already
   * @throws SignInError where the token is not Clerk's, or not this person's; UnavailableError, StoreError
   */
  async importSession(handed: HandedOver): Promise<'session' | 'user' | 'nothing'> {
    const { provider, store, knownUser, log, profile } = this.#options
    await this.load()
    await this.#prepareStore()
    const imported = await this.#turns.run(async () => {
      this.#endIfOver()
      if (this.#state.state === 'signed_in') return 'nothing'
      const grant = await adopt(provider, handed)
      if (grant) {
        const session = { ...grant, generation: 1 }
        await store.save(session) // or it fails: whoever brought it deletes their own copy after this
        this.#publish(this.#signedIn(session, null))
        return 'session'
      }
      if (handed.user.email === null) return 'nothing'
      await knownUser.write(handed.user).catch((error: unknown) => {
        throw storeErrorOf(error)
      })
      return 'user'
    })
    log.info('imported', { profile, state: imported })
    return imported
  }

  /** What there is to say without a secret. `daemon` is added by whoever knows it. */
  status(): Omit<Status, 'daemon'> {
    this.#endIfOver()
    const current = this.#state
    const session = current.state === 'signed_in' ? current.session : undefined
    const unsaved = current.state === 'signed_in' ? current.unsaved : null
    const resting = current.state === 'signed_in' ? 'signed_in' : 'signed_out'
    return {
      profile: this.#options.profile,
      state: this.#signIn ? 'signing_in' : resting,
      user: session?.user ?? null,
      sessionId: session?.sessionId ?? null,
      tokenExpiresAt: current.state === 'signed_in' ? current.header.expiresAt : null,
      sessionExpiresAt: session?.sessionExpiresAt ?? null,
      authorizationUrl: this.#signIn?.authorizationUrl ?? null,
      refresh: { lastAt: this.#lastRefreshAt, lastError: this.#lastRefreshError ?? unsaved },
      store: {
        persisted: unsaved === null && current.state !== 'unknown',
        keyProtection: this.#keyProtection,
      },
    }
  }

  /** Ends what waits for a person, tries a last time to save what is not saved, and takes on nothing new. */
  stop(): void {
    this.#stopping = true
    this.#saveAgain.disarm()
    void this.#turns.run(() => this.#saveUnsaved())
    this.#signIn?.fail(new ShuttingDownError())
  }

  /** Resolves when what was under way has reached the disk. */
  async settled(): Promise<void> {
    await this.#turns.idle()
  }

  async #load(): Promise<void> {
    const { store, profile, log } = this.#options
    await this.#turns.run(async () => {
      if (this.#state.state !== 'unknown') return
      const session = await store.load()
      if (session) this.#take(session)
      else this.#publish({ state: 'signed_out', reason: 'signed_out' })
      log.info('session_loaded', { profile, state: this.#state.state })
    })
    // After the session, so that the first caller does not wait for a key to be made.
    await this.#prepareStore().catch(() => undefined)
  }

  async #prepareStore(): Promise<void> {
    this.#keyProtection = await this.#options.store.protection()
  }

  async #slowHeader(minValiditySeconds: number, interactive: boolean): Promise<AuthHeader> {
    await this.load()
    try {
      this.#requireSignedIn()
      return this.currentHeader(minValiditySeconds) ?? (await this.#refreshOrKeep())
    } catch (error) {
      if (!(error instanceof InteractionRequiredError) || !interactive || !this.#mayAskPerson()) throw error
    }
    if (!this.#signIn) this.#requireAvailable()
    await this.login({ openBrowser: this.#signIn === undefined, wait: true, timeoutSeconds: SIGN_IN_SECONDS })
    // What the sign-in has brought may have been dead on arrival.
    return this.currentHeader(0) ?? (await this.#refreshOrKeep())
  }

  /** A provider that cannot be reached is no reason to withhold a token that is still good. */
  async #refreshOrKeep(): Promise<AuthHeader> {
    try {
      return await this.#refresh()
    } catch (error) {
      const current = this.#state
      if (current.state === 'signed_in' && current.validity.remaining > 0) return current.header
      throw error
    }
  }

  #refreshBehind(): void {
    const { clock } = this.#options.host
    if (this.#refreshing || this.#backoff.remaining > 0 || this.#stopping) return
    if (clock.monotonic() < this.#diskRestsUntil) return
    // Noted in the status; the next caller that needs it will be told.
    this.#refresh().catch((error: unknown) => {
      if (error instanceof StoreError) this.#diskRestsUntil = clock.monotonic() + DISK_SECONDS
    })
  }

  /** One refresh for all who ask while it runs. */
  #refresh(): Promise<AuthHeader> {
    if (this.#refreshing !== undefined) return this.#refreshing
    const refreshing = this.#turns.run(() => this.#refreshNow())
    this.#refreshing = refreshing
    const done = () => {
      if (this.#refreshing === refreshing) this.#refreshing = undefined
    }
    refreshing.then(done, done)
    return refreshing
  }

  async #refreshNow(): Promise<AuthHeader> {
    const { provider, log, profile, host } = this.#options
    if (this.#stopping) throw new ShuttingDownError()
    this.#requireSignedIn()
    this.#requireAvailable()
    const startedAt = host.clock.monotonic()
    try {
      const session = await this.#spendable()
      if (session === undefined) return this.#requireSignedIn().header
      this.#interrupted = false
      const renewal = await provider.refresh(session)
      const { header } = await this.#commit(renewed(session, renewal))
      this.#backoff.succeeded()
      log.info('refreshed', { profile, ms: Math.round((host.clock.monotonic() - startedAt) * 1000) })
      return header
    } catch (error) {
      throw await this.#refreshFailed(error)
    }
  }

  async #refreshFailed(error: unknown): Promise<unknown> {
    const { store, log, profile } = this.#options
    const reason = reasonOf(error)
    this.#lastRefreshError = reason
    log.warn('refresh_failed', { profile, reason })
    if (error instanceof SessionEndedError) {
      const current = this.#state
      const other = current.state === 'signed_in' ? await successor(store, current.session) : undefined
      if (other) {
        this.#lastRefreshError = null
        this.#take(other)
        return new UnavailableError('server') // whoever needs but a good token gets the one that was found
      }
      await store.remove().catch(() => undefined) // a dead token on disk harms nobody; the next start learns it again
      this.#publish({ state: 'signed_out', reason: error.reason })
      return new InteractionRequiredError(error.reason)
    }
    this.#holdOff(error)
    if (!(error instanceof UnavailableError)) return error
    return new UnavailableError(error.reason, Math.ceil(this.#backoff.remaining))
  }

  /** Asks the provider no more for a while, and then not at the same moment as everybody else. */
  #holdOff(error: unknown): void {
    if (!(error instanceof UnavailableError || error instanceof RejectedError)) return
    this.#lastFailure = error
    this.#backoff.failed(error instanceof UnavailableError ? error.retryAfterSeconds : 0)
  }

  /** @throws what the provider failed with last, while it is not to be asked again */
  #requireAvailable(): void {
    const wait = this.#backoff.remaining
    const failure = this.#lastFailure
    if (wait === 0 || failure === undefined) return
    throw failure instanceof UnavailableError ? new UnavailableError(failure.reason, Math.ceil(wait)) : failure
  }

  /**
   * Disk first, then memory: nobody is given what a crash could take back.
   * @throws UnavailableError where the new token is dead on arrival: that is no answer
   */
  async #commit(session: Session): Promise<SignedIn> {
    const unsaved = await this.#save(session)
    const next = this.#signedIn(session, unsaved)
    const isGood = next.validity.remaining > 0
    if (isGood) {
      // Before it is published: whoever is told of the new token must not be told the old failure with it.
      this.#lastRefreshAt = Math.floor(this.#options.host.clock.now())
      this.#lastRefreshError = null
    }
    this.#publish(next)
    if (!isGood) throw new UnavailableError('server')
    return next
  }

  /** A session that could not be saved is the only copy, and serves on from memory. */
  async #save(session: Session): Promise<StoreProblem | null> {
    const { store, log, profile } = this.#options
    try {
      await store.save(session)
      return null
    } catch (error) {
      log.error('not_saved', { profile, reason: reasonOf(error) })
      return storeErrorOf(error).code
    }
  }

  async #saveUnsaved(): Promise<void> {
    const current = this.#state
    if (current.state !== 'signed_in' || current.unsaved === null) return
    const kept = await keep(this.#options.store, current.session, false, false)
    if (kept.kind === 'newer') this.#take(kept.session)
    if (kept.kind === 'safe') this.#hold(kept.session, null)
    if (kept.kind === 'unsafe') this.#hold(current.session, kept.error.code)
  }

  /**
   * The session that a refresh may spend, noted on disk as being spent; undefined where a good token has been found there.
   * Nothing is spent whose successor could not be saved, unless the disk stays shut and the access token is dead.
   * @throws StoreError, InteractionRequiredError
   */
  async #spendable(): Promise<Session | undefined> {
    const { store, log, profile } = this.#options
    const { session, unsaved, validity } = this.#requireSignedIn()
    const kept = await keep(store, session, unsaved === null, true)
    switch (kept.kind) {
      case 'safe':
        this.#hold(kept.session, null)
        return kept.session
      case 'unsafe':
        this.#hold(session, kept.onDisk ? null : kept.error.code)
        if (validity.remaining > 0) throw kept.error
        return session
      case 'newer':
        return this.#take(kept.session).validity.lasts(MIN_VALIDITY) ? undefined : await this.#spendable()
      case 'deleted':
        log.info('session_deleted', { profile })
        this.#publish({ state: 'signed_out', reason: 'signed_out' })
        void this.#options.provider.revoke(session) // as a logout does; nobody waits for it
        throw new InteractionRequiredError('signed_out')
    }
  }

  /** Goes on with a session that was found on disk. */
  #take(session: Session): SignedIn {
    const { log, profile } = this.#options
    this.#interrupted = session.refreshing === true
    if (this.#interrupted) log.warn('refresh_interrupted', { profile })
    const next = this.#signedIn(session, null)
    this.#publish(next)
    return next
  }

  /** The same session still; only how it is kept has changed. */
  #hold(session: Session, unsaved: StoreProblem | null): void {
    const current = this.#state
    if (current.state !== 'signed_in') return
    const next: SignedIn = { ...current, session, unsaved }
    if (current.unsaved === unsaved) this.#state = next
    else this.#publish(next)
    if (unsaved !== null && !this.#stopping) this.#saveAgain.arm()
  }

  #startSignIn(): SignIn {
    const { provider, callbackAddress, profile, host, log, knownUser } = this.#options
    if (this.#stopping) throw new ShuttingDownError()
    const signIn = new SignIn({
      profile,
      provider,
      callbackAddress,
      loginHint: async () => (await knownUser.read())?.email ?? undefined,
      clock: host.clock,
      openBrowser: host.openBrowser,
      isOtherUser: host.isOtherUser,
      prepare: () => this.#prepareStore(),
      commit: (grant, signIn) => this.#commitSignIn(grant, signIn),
      onRefused: (reason) => log.warn('callback_refused', { profile, reason }),
      onStarted: () => this.#options.onChange(),
    })
    this.#signIn = signIn
    log.info('sign_in_started', { profile })
    signIn.finished.catch((error: unknown) => {
      if (this.#signIn === signIn) this.#signIn = undefined
      this.#signInFailed(signIn, error)
      this.#options.onChange()
    })
    return signIn
  }

  #signInFailed(signIn: SignIn, error: unknown): void {
    const { log, profile, host } = this.#options
    log.warn('sign_in_failed', { profile, reason: reasonOf(error) })
    if (signIn.hasShown || error instanceof SignInError) this.#quietUntil = host.clock.monotonic() + QUIET_SECONDS
    else this.#holdOff(error)
  }

  async #commitSignIn(grant: Grant, signIn: SignIn): Promise<void> {
    const { provider, log, profile, store, knownUser } = this.#options
    const before = await this.#turns
      .run(async () => {
        if (!signIn.claim()) return 'cancelled' // by a person or a logout, while the code was exchanged
        const before = this.#state
        // A file that could not be opened is kept; a person has chosen to go on without it.
        if (before.state === 'unknown') await store.setAside()
        const generation = before.state === 'signed_in' ? before.session.generation + 1 : 1
        const session = { ...grant, generation }
        const unsaved = await this.#save(session)
        await knownUser.forget()
        // Only now: whoever asked while it was being saved must find the sign-in that runs, and not start another.
        this.#signIn = undefined
        this.#quietUntil = 0
        this.#backoff.succeeded()
        this.#lastRefreshError = null
        this.#publish(this.#signedIn(session, unsaved))
        log.info('signed_in', { profile })
        return before
      })
      .catch((error: unknown) => {
        void provider.retire({ ...grant, generation: 1 })
        throw error
      })
    // What nobody holds any more must not live on at the provider.
    if (before === 'cancelled') {
      void provider.retire({ ...grant, generation: 1 })
      throw new SignInError('cancelled')
    }
    if (before.state === 'signed_in') void provider.retire(before.session)
  }

  #mayAskPerson(): boolean {
    return this.#signIn !== undefined || this.#options.host.clock.monotonic() >= this.#quietUntil
  }

  #requireSignedIn(): SignedIn {
    this.#endIfOver()
    const current = this.#state
    if (current.state === 'signed_in') return current
    throw new InteractionRequiredError(current.state === 'signed_out' ? current.reason : 'signed_out')
  }

  /** A session that cannot be renewed ends with its token. Timers may sleep: it is seen at the latest when asked. */
  #endIfOver(): void {
    const current = this.#state
    if (current.state !== 'signed_in' || current.validity.remaining > 0 || this.#refreshing !== undefined) return
    if (current.canRefresh && current.session.refreshToken !== null) return
    const { store, log, profile } = this.#options
    log.info('session_over', { profile })
    this.#publish({ state: 'signed_out', reason: 'session_expired' })
    void this.#turns.run(async () => {
      if (this.#state.state === 'signed_out') await store.remove().catch(() => undefined)
    })
  }

  #signedIn(session: Session, unsaved: StoreProblem | null): SignedIn {
    const validity = new Validity(session.accessToken, this.#options.host.clock)
    const headers = Object.freeze({ Authorization: `Bearer ${session.accessToken.value}` })
    // Frozen, so that its text on the wire need be made but once.
    const header = Object.freeze({ headers, expiresAt: validity.expiresAt })
    const canRefresh = this.#options.provider.canRefresh(session)
    return { state: 'signed_in', session, header, validity, canRefresh, unsaved }
  }

  #publish(state: State): void {
    this.#state = state
    this.#cancelEnd()
    this.#watchEnd()
    if (state.state === 'signed_in' && state.unsaved !== null && !this.#stopping) this.#saveAgain.arm()
    else this.#saveAgain.disarm()
    this.#options.onChange()
  }

  #watchEnd(): void {
    const current = this.#state
    if (current.state !== 'signed_in' || current.canRefresh) return
    const { clock } = this.#options.host
    this.#cancelEnd = clock.after(Math.max(0, current.validity.remaining) + END_SECONDS, () => {
      this.#endIfOver()
      this.#watchEnd() // no timer lasts longer than 24 days, and a clock may have been set
    })
  }

  #withTimeout(promise: Promise<unknown>, seconds: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const cancel = this.#options.host.clock.after(seconds, () => reject(new SignInError('timeout')))
      promise.finally(cancel).then(resolve, reject)
    })
  }
}

/** The session that a token stands for; undefined where the token says only who it was. */
async function adopt(provider: IdentityProvider, handed: HandedOver): Promise<Grant | undefined> {
  try {
    return await provider.adopt?.(handed)
  } catch (error) {
    if (!(error instanceof CallbackRefusedError)) throw error
    if (error.reason === 'expired') return undefined
    throw new SignInError('invalid_response')
  }
}

// A key that is gone does not come back: there the person's own wish to sign in goes before the old file, which is kept.
function rethrowUnlessKeyMissing(error: unknown): void {
  if (!(error instanceof StoreError && error.code === 'key_missing')) throw error
}

/** The closed list's name for an error; never its text. */
function reasonOf(error: unknown): string {
  if (error instanceof StoreError) return error.code
  if (error instanceof Error && 'reason' in error && typeof error.reason === 'string') return error.reason
  return error instanceof Error ? error.name : 'unknown'
}
