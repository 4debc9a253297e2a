// What every sign-in has, in whatever way the user signs in: a deadline, one outcome, and the commit of its grant.
// Invariants:
// - Whether a grant is still wanted is decided inside the mutex, together with saving it: a logout or a cancel cannot come between.
// - From `committing` on, a cancel or a timeout comes too late.
// - A grant that is not kept is retired at the provider.
import { SignInError } from '../clerk/errors.ts'
import type { Grant, IdentityProvider } from '../clerk/identity-provider.ts'
import type { CancelTimer, Clock } from '../host/clock.ts'
import type { Mutex } from './mutex.ts'
import type { SignedIn } from './state.ts'

export interface SignInAttemptOptions {
  readonly provider: Pick<IdentityProvider, 'retire'>
  readonly clock: Clock
  /** Held while the grant is saved. */
  readonly mutex: Mutex
  /** Saves the grant as a session. Called inside the mutex. @throws StoreError */
  readonly save: (grant: Grant) => Promise<SignedIn>
  /** Called inside the mutex when the session is saved and the sign-in is done. */
  readonly onSignedIn: (signedIn: SignedIn) => void
}

export class SignInAttempt {
  readonly #options: SignInAttemptOptions
  readonly #onDone: () => void
  readonly #finished = withResolvers<void>()
  readonly #started = withResolvers<void>()
  #phase: 'starting' | 'waiting' | 'committing' | 'done' = 'starting'
  #deadline = 0
  #cancelDeadline: CancelTimer = () => undefined

  /** @param onDone called once when the attempt has ended, however it ended, before callers are told */
  constructor(options: SignInAttemptOptions, onDone: () => void) {
    this.#options = options
    this.#onDone = onDone
    this.finished.catch(() => undefined) // waiting callers get the error; there may be none
    this.started.catch(() => undefined)
  }

  /** Resolves when the user is signed in; rejects with the reason if not. */
  get finished(): Promise<void> {
    return this.#finished.promise
  }

  /** Resolves when the user can act; rejects as `finished` does. */
  get started(): Promise<void> {
    return this.#started.promise
  }

  get isDone(): boolean {
    return this.#phase === 'done'
  }

  /** The user can act from now on. */
  start(): void {
    if (this.#phase === 'starting') this.#phase = 'waiting'
    this.#started.resolve()
  }

  /** Gives the user at least this many seconds from now. */
  extend(seconds: number): void {
    const end = this.#options.clock.monotonic() + seconds
    if (end <= this.#deadline || this.isDone) return
    this.#deadline = end
    this.#cancelDeadline()
    this.#cancelDeadline = this.#options.clock.after(seconds, () => this.fail(new SignInError('timeout')))
  }

  /** Ends the sign-in without success. Does nothing once it is committing or done. */
  fail(error: unknown): void {
    if (this.#phase === 'committing') return
    this.#end(() => {
      this.#started.reject(error)
      this.#finished.reject(error)
    })
  }

  /** Saves the grant as the session of this sign-in. A second grant, or one that comes after a cancel, is retired. */
  async commit(grant: Grant): Promise<'signedIn' | 'failed'> {
    return await this.#options.mutex.run(() => this.#commit(grant))
  }

  async #commit(grant: Grant): Promise<'signedIn' | 'failed'> {
    const { provider, save, onSignedIn } = this.#options
    if (this.#phase !== 'waiting') {
      void provider.retire({ ...grant, generation: 1 })
      return await this.finished.then(
        () => 'signedIn',
        () => 'failed',
      )
    }
    this.#phase = 'committing'
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

  #end(tell: () => void): void {
    if (this.#phase === 'done') return
    this.#phase = 'done'
    this.#cancelDeadline()
    this.#onDone()
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
