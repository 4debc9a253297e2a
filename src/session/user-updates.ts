// Keeps the user's name, e-mail address and organization as the provider has them: asks once a day, after a refresh.
// It never delays or fails a refresh: it runs in the background, and an answer that does not come changes nothing.
import type { IdentityProvider, UserDescription } from '../clerk/identity-provider.ts'
import type { Clock } from '../host/clock.ts'
import type { Session } from '../store/session.ts'
import type { CurrentSession } from './current-session.ts'
import type { Mutex } from './mutex.ts'
import type { SessionWriter } from './session-writer.ts'

export interface UserUpdatesOptions {
  readonly current: CurrentSession
  readonly provider: Pick<IdentityProvider, 'describeUser'>
  readonly writer: Pick<SessionWriter, 'describeUser'>
  readonly mutex: Mutex
  readonly clock: Clock
}

const DAY = 86_400 // s
const RETRY_SECONDS = 3600 // s; after an answer that did not come

export class UserUpdates {
  readonly #options: UserUpdatesOptions
  /** The wall clock at the last question, in Unix seconds; undefined if this daemon has not asked yet. */
  #askedAt: number | undefined
  #interval = DAY
  #isStopped = false

  constructor(options: UserUpdatesOptions) {
    this.#options = options
  }

  /** Writes nothing from now on: the next daemon may have the file when an answer arrives. */
  stop(): void {
    this.#isStopped = true
  }

  /** A sign-in has just brought the user's data. */
  postpone(): void {
    this.#askedAt = this.#options.clock.now()
    this.#interval = DAY
  }

  /** Asks the provider, unless it was asked less than a day ago. */
  askIfDue(): void {
    const { current, provider, clock } = this.#options
    const { state } = current
    if (state.kind !== 'signed_in' || provider.describeUser === undefined) return
    // A clock that was set back must not prolong the wait.
    if (this.#askedAt !== undefined && Math.abs(clock.now() - this.#askedAt) < this.#interval) return
    this.postpone()
    void this.#ask(state.session)
  }

  async #ask(session: Session): Promise<void> {
    const { provider, mutex } = this.#options
    try {
      const description = await provider.describeUser?.(session)
      if (description) await mutex.run(() => this.#apply(session, description))
    } catch {
      this.#interval = RETRY_SECONDS
    }
  }

  async #apply(asked: Session, description: UserDescription): Promise<void> {
    const { current, writer } = this.#options
    const { state } = current
    if (
      this.#isStopped ||
      state.kind !== 'signed_in' ||
      state.session.user.id !== asked.user.id ||
      isSame(state.session, description)
    ) {
      return
    }
    const prepared = await writer.describeUser(state, description)
    const isCurrent = current.state === state // it may have ended meanwhile
    if (!isCurrent || prepared.kind === 'superseded' || prepared.kind === 'deleted') return
    const { storage } = prepared.held
    current.publish({ ...state, session: { ...state.session, ...description }, storage })
  }
}

function isSame({ user, organization = null }: Session, found: UserDescription): boolean {
  const other = found.organization ?? null
  return (
    user.email === found.user.email &&
    user.name === found.user.name &&
    organization?.id === other?.id &&
    organization?.slug === other?.slug &&
    organization?.role === other?.role
  )
}
