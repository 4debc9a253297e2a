// Holds the state of one profile and everything that follows from a change of it: notifications, the end timer, the save retry.
import type { IdentityProvider } from '../clerk/identity-provider.ts'
import type { CancelTimer, Clock } from '../host/clock.ts'
import type { Log } from '../log/log.ts'
import type { Session } from '../store/session.ts'
import { InteractionRequiredError } from './errors.ts'
import { ExpiryNotice } from './expiry-notice.ts'
import type { Mutex } from './mutex.ts'
import { RetryTimer } from './retry-timer.ts'
import type { SessionWriter } from './session-writer.ts'
import {
  isSameStorage,
  type Reading,
  readHeader,
  SAVED,
  type SignedIn,
  type State,
  type Storage,
  signedIn,
} from './state.ts'
import { currentInstant, remainingSeconds, setBackSeconds } from './token-lifetime.ts'

export interface CurrentSessionOptions {
  readonly provider: Pick<IdentityProvider, 'canRefresh'>
  readonly writer: SessionWriter
  readonly mutex: Mutex
  readonly clock: Clock
  readonly log: Log
  /** Whether a refresh is under way, which may still save a session whose token has expired. */
  readonly isRefreshing: () => boolean
  /** Called whenever the state, the user or the token has changed. */
  readonly onChange: () => void
  /** Called one day and one hour before the session ends, with the end in Unix seconds and the seconds until then. */
  readonly onExpiring: (sessionExpiresAt: number, inSeconds: number) => void
}

const END_SLACK = 0.1 // s; a timer may fire a little early

export class CurrentSession {
  readonly #options: CurrentSessionOptions
  readonly #saveRetry: RetryTimer
  readonly #expiryNotice: ExpiryNotice
  #state: State = { kind: 'unloaded' }
  #cancelEndTimer: CancelTimer = () => undefined
  #isStopping = false

  constructor(options: CurrentSessionOptions) {
    this.#options = options
    this.#expiryNotice = new ExpiryNotice(options.clock, options.onExpiring)
    this.#saveRetry = new RetryTimer(options.clock, () => void options.mutex.run(() => this.#saveAgain()))
  }

  get state(): State {
    return this.#state
  }

  get isUnsaved(): boolean {
    return this.#state.kind === 'signed_in' && this.#state.storage.kind === 'unsaved'
  }

  /** What a caller may be given right now. Changes nothing. */
  readHeader(minValiditySeconds: number): Reading {
    return readHeader(this.#state, minValiditySeconds, currentInstant(this.#options.clock))
  }

  /** Seconds until the token of this session expires; 0 or less if it has. */
  remaining({ lifetime }: SignedIn): number {
    return remainingSeconds(lifetime, currentInstant(this.#options.clock))
  }

  /** Whether the token has expired and nothing can refresh it: the session has ended, though that is not applied yet. */
  get isOver(): boolean {
    return this.readHeader(0).kind === 'expired' && !this.#options.isRefreshing()
  }

  /** Ends a session that is over. The end timer may be late, since timers sleep with the machine. */
  endIfOver(): void {
    if (!this.isOver) return
    const { log, mutex, writer } = this.#options
    log.info('session_expired')
    this.publish({ kind: 'signed_out', reason: 'session_expired' })
    if (this.#isStopping) return // the next daemon may have the file by then, and finds out by itself
    void mutex.run(async () => {
      if (this.#state.kind === 'signed_out') await writer.discard()
    })
  }

  /**
   * Corrects the times of the session after the wall clock was set back: what clients read is right again, and they are told.
   * A clock that was set ahead needs nothing: the token counts as expired, and is refreshed.
   */
  followClock(): void {
    const state = this.#state
    if (state.kind !== 'signed_in') return
    const seconds = setBackSeconds(state.lifetime, currentInstant(this.#options.clock))
    if (seconds === 0) return
    const { accessToken } = state.session
    const receivedAt = Math.max(0, accessToken.receivedAt - seconds)
    const session = { ...state.session, accessToken: { ...accessToken, receivedAt } }
    this.publish(this.signedIn(session, state.storage, state.interrupted))
  }

  /** @throws InteractionRequiredError */
  requireSignedIn(): SignedIn {
    this.endIfOver()
    const state = this.#state
    if (state.kind === 'signed_in') return state
    throw new InteractionRequiredError(state.kind === 'signed_out' ? state.reason : 'signed_out')
  }

  /** The state for a session, with the lifetime of its token counted from now. */
  signedIn(session: Session, storage: Storage, interrupted = session.refreshing === true): SignedIn {
    const { provider, clock } = this.#options
    return signedIn(session, {
      renewable: provider.canRefresh(session),
      interrupted,
      storage,
      now: currentInstant(clock),
    })
  }

  publish(state: State): void {
    this.#state = state
    this.#scheduleEnd()
    this.#scheduleSave()
    this.#options.onChange()
    this.#expiryNotice.watch(state.kind === 'signed_in' ? state.session.sessionExpiresAt : null)
  }

  /** Goes on with the session of a new sign-in, whose end is another one. */
  publishSignIn(state: SignedIn): void {
    this.#expiryNotice.watch(null)
    this.publish(state)
  }

  /** Goes on with a session that was found on disk. */
  publishFromDisk(session: Session): SignedIn {
    const next = this.signedIn(session, SAVED)
    if (next.interrupted) this.#options.log.warn('refresh_interrupted')
    this.publish(next)
    return next
  }

  /** Keeps the same session with another mark or storage; clients are told only if the storage has changed. */
  hold(next: SignedIn): void {
    const before = this.#state
    const isSame = before.kind === 'signed_in' && isSameStorage(before.storage, next.storage)
    if (!isSame) {
      this.publish(next)
    } else {
      this.#state = next
      this.#scheduleSave()
    }
  }

  /** Tries once more to save an unsaved session, and schedules nothing from now on. */
  stop(): void {
    this.#isStopping = true
    this.#expiryNotice.watch(null)
    this.#saveRetry.cancel()
    this.#cancelEndTimer()
    void this.#options.mutex.run(() => this.#saveAgain())
  }

  async #saveAgain(): Promise<void> {
    const state = this.#state
    if (state.kind !== 'signed_in' || state.storage.kind === 'saved') return
    const prepared = await this.#options.writer.saveAgain(state)
    if (prepared.kind === 'superseded') this.publishFromDisk(prepared.session)
    // It may have expired meanwhile, which needs no mutex.
    else if (prepared.kind !== 'deleted' && this.#state.kind === 'signed_in') this.hold({ ...state, ...prepared.held })
  }

  #scheduleSave(): void {
    if (this.isUnsaved && !this.#isStopping) this.#saveRetry.schedule()
    else this.#saveRetry.cancel()
  }

  #scheduleEnd(): void {
    this.#cancelEndTimer()
    const state = this.#state
    if (state.kind !== 'signed_in' || state.renewable || this.#isStopping) return
    const seconds = Math.max(0, this.remaining(state)) + END_SLACK
    this.#cancelEndTimer = this.#options.clock.after(seconds, () => {
      this.endIfOver()
      this.#scheduleEnd() // no timer lasts longer than 24 days, and the clock may have been set
    })
  }
}
