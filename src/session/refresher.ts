// Refreshes the current session: one refresh for all callers, a pause after a failure, and one switch that applies an outcome.
import { UnavailableError } from '../clerk/errors.ts'
import type { IdentityProvider } from '../clerk/identity-provider.ts'
import type { Clock } from '../host/clock.ts'
import type { Log } from '../log/log.ts'
import type { AuthHeader } from '../rpc/contract.ts'
import type { CurrentSession } from './current-session.ts'
import { InteractionRequiredError, ShuttingDownError } from './errors.ts'
import type { Mutex } from './mutex.ts'
import type { ProviderBackoff } from './provider-backoff.ts'
import { reasonOf } from './reason.ts'
import { type RefreshOutcome, refreshSession } from './refresh.ts'
import type { SessionWriter } from './session-writer.ts'
import type { SignedIn, State } from './state.ts'
import type { ProfileStatus } from './status.ts'
import { lastsFor } from './token-lifetime.ts'

export interface RefresherOptions {
  readonly current: CurrentSession
  readonly provider: Pick<IdentityProvider, 'refresh'>
  readonly backoff: ProviderBackoff
  readonly writer: SessionWriter
  readonly mutex: Mutex
  readonly clock: Clock
  readonly log: Log
  /** Called after a refreshed session was published. */
  readonly onRefreshed: () => void
}

export const MIN_VALIDITY = 10 // s; a token with less left is not given to a caller that asks for nothing special

export class Refresher {
  readonly #options: RefresherOptions
  #running: Promise<AuthHeader> | undefined
  #status: ProfileStatus['refresh'] = { lastAt: null, lastError: null }
  #isStopped = false

  constructor(options: RefresherOptions) {
    this.#options = options
  }

  /** The running refresh, if any. */
  get running(): Promise<AuthHeader> | undefined {
    return this.#running
  }

  /** When the last refresh succeeded (Unix seconds), and why the last one failed if it did. */
  get status(): ProfileStatus['refresh'] {
    return this.#status
  }

  clearLastError(): void {
    this.#status = { ...this.#status, lastError: null }
  }

  stop(): void {
    this.#isStopped = true
  }

  /**
   * Refreshes, or joins the running refresh.
   * @throws InteractionRequiredError, UnavailableError, RejectedError, StoreError, ShuttingDownError
   */
  refresh(): Promise<AuthHeader> {
    if (this.#running !== undefined) return this.#running
    const { current, mutex } = this.#options
    const asked = tokenOf(current.state)
    const running = mutex.run(() => this.#refreshNow(asked))
    this.#running = running
    const done = () => {
      if (this.#running === running) this.#running = undefined
    }
    running.then(done, done)
    return running
  }

  /** A provider that cannot be reached is no reason to withhold a token that is still good. @throws as `refresh` */
  async refreshOrKeep(): Promise<AuthHeader> {
    try {
      return await this.refresh()
    } catch (error) {
      const { current } = this.#options
      const { state } = current
      if (state.kind === 'signed_in' && current.remaining(state) > 0) return state.header
      throw error
    }
  }

  /** Starts a refresh that no caller waits for, unless the provider or the disk has just failed. */
  refreshInBackground(): void {
    const { backoff, writer } = this.#options
    if (this.#running || backoff.failure || writer.isResting || this.#isStopped) return
    this.refresh().catch(() => undefined) // in the status, and thrown at the next caller that needs a refresh
  }

  /** @param asked the token that was current when the refresh was asked for */
  async #refreshNow(asked: string | undefined): Promise<AuthHeader> {
    const { current, provider, writer, clock, backoff, log } = this.#options
    const startedAt = clock.monotonic()
    for (;;) {
      if (this.#isStopped) throw new ShuttingDownError()
      const held = current.requireSignedIn()
      if (tokenOf(held) !== asked && this.#isGood(held)) return held.header // a sign-in was saved while this one waited
      if (backoff.failure) throw backoff.failure
      const outcome = await refreshSession(held, { provider, writer, clock })
      const header = this.#apply(outcome, held)
      if (outcome.kind === 'refreshed')
        log.info('refreshed', { ms: Math.round((clock.monotonic() - startedAt) * 1000) })
      if (header) return header
    }
  }

  /** @returns undefined if a newer session was found whose token is stale: it needs a refresh of its own */
  #apply(outcome: RefreshOutcome, held: SignedIn): AuthHeader | undefined {
    const { current, log } = this.#options
    switch (outcome.kind) {
      case 'refreshed':
        return this.#publishRefreshed(this.#signedIn(outcome.held))
      case 'unusable':
        current.publish(this.#signedIn(outcome.held))
        throw this.#failed(new UnavailableError('server'))
      case 'superseded': {
        this.clearLastError()
        const found = current.publishFromDisk(outcome.session)
        return this.#isGood(found) ? found.header : undefined
      }
      case 'ended': {
        const failure = this.#failed(new InteractionRequiredError(outcome.reason))
        current.publish({ kind: 'signed_out', reason: outcome.reason })
        throw failure
      }
      case 'deleted': {
        log.info('session_deleted')
        const failure = this.#failed(new InteractionRequiredError('signed_out'))
        current.publish({ kind: 'signed_out', reason: 'signed_out' })
        throw failure
      }
      case 'not_sent':
        current.hold({ ...held, ...outcome.held })
        throw this.#failed(outcome.error)
      case 'failed':
        current.hold({ ...held, ...outcome.held, interrupted: false })
        throw this.#failed(outcome.error)
    }
  }

  #isGood(state: SignedIn): boolean {
    return lastsFor(state.lifetime, MIN_VALIDITY, this.#options.current.remaining(state))
  }

  #publishRefreshed(next: SignedIn): AuthHeader {
    const { current, backoff, clock } = this.#options
    backoff.reset()
    // Before it is published, so that a client is not told the old failure together with the new token.
    this.#status = { lastAt: Math.floor(clock.now()), lastError: null }
    current.publish(next)
    this.#options.onRefreshed()
    return next.header
  }

  #signedIn({ session, storage }: Pick<SignedIn, 'session' | 'storage'>): SignedIn {
    const { current, log } = this.#options
    if (storage.kind === 'unsaved') log.error('not_saved', { reason: storage.problem })
    return current.signedIn(session, storage)
  }

  /** @returns the error that callers get */
  #failed(error: unknown): unknown {
    const reason = reasonOf(error)
    this.#status = { ...this.#status, lastError: reason }
    const { log, backoff } = this.#options
    const cause = error instanceof UnavailableError ? error.failure?.cause : undefined
    log.warn('refresh_failed', cause === undefined ? { reason } : { reason, cause })
    return backoff.failed(error) ? (backoff.failure ?? error) : error
  }
}

function tokenOf(state: State): string | undefined {
  return state.kind === 'signed_in' ? state.session.accessToken.value : undefined
}
