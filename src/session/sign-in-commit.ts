// The end of every sign-in: saves the grant as a session, publishes it, and releases the session that it replaces.
import type { Grant, IdentityProvider } from '../clerk/identity-provider.ts'
import type { Log } from '../log/log.ts'
import type { CurrentSession } from './current-session.ts'
import type { LoginHint } from './login-hint.ts'
import type { SessionWriter } from './session-writer.ts'
import type { SignedIn } from './state.ts'

export interface SignInCommitOptions {
  readonly provider: IdentityProvider
  readonly loginHint: LoginHint
  readonly writer: SessionWriter
  readonly current: CurrentSession
  readonly log: Log
  /** Called before the new session is published. */
  readonly onSignedIn: () => void
}

export class SignInCommit {
  readonly #options: SignInCommitOptions

  constructor(options: SignInCommitOptions) {
    this.#options = options
  }

  /**
   * Runs inside the mutex.
   * @param takeOver whether the user wants to sign in here although the file belongs to another installation
   * @throws StoreError if a file that must be kept cannot be set aside
   */
  async save(grant: Grant, takeOver: boolean): Promise<SignedIn> {
    const { writer, current, loginHint, log } = this.#options
    const { state } = current
    if (takeOver) await writer.setAsideOther()
    // A file that could not be opened is kept; the user has chosen to go on without it.
    if (state.kind === 'unloaded') await writer.setAside()
    const generation = state.kind === 'signed_in' ? state.session.generation + 1 : 1
    const session = { ...grant, generation }
    const storage = await writer.save(session)
    if (storage.kind === 'unsaved') log.error('not_saved', { reason: storage.problem })
    await loginHint.forget()
    return current.signedIn(session, storage)
  }

  publish(next: SignedIn): void {
    const { provider, current, log, onSignedIn } = this.#options
    const { state: before } = current
    onSignedIn()
    current.publishSignIn(next)
    log.info('signed_in')
    // A session that no client holds any more must not live on at the provider.
    if (before.kind === 'signed_in') void provider.retire(before.session)
  }
}
