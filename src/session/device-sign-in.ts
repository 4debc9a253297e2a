// A sign-in on another device (RFC 8628): shows a code, and polls the provider until the user has entered it there.
import { RejectedError, SignInError, UnavailableError } from '../clerk/errors.ts'
import type { DeviceAuthorization, IdentityProvider } from '../clerk/identity-provider.ts'
import type { Status } from '../rpc/contract.ts'
import { SignInAttempt, type SignInAttemptOptions } from './sign-in-attempt.ts'
import type { SignIn } from './sign-ins.ts'

export interface DeviceSignInOptions extends SignInAttemptOptions {
  readonly provider: Pick<IdentityProvider, 'authorizeDevice' | 'retire'>
  /** Makes sure that a session can be saved, before the user is asked. @throws StoreError */
  readonly prepare: () => Promise<unknown>
  /** Whether the user has agreed to replace the session of another installation. */
  readonly takeOver: boolean
  /** Called when the code is known. */
  readonly onWaiting: () => void
}

const SLOW_DOWN_SECONDS = 5 // RFC 8628 section 3.5
const SHORTEST_INTERVAL = 1 // s; whatever the provider says
const LONGEST_WAIT = 60 // s; while the provider is unavailable

export class DeviceSignIn implements SignIn {
  readonly method = 'device'
  readonly prompt = undefined
  readonly authorizationUrl = null
  readonly #options: DeviceSignInOptions
  readonly #attempt: SignInAttempt
  #shown: Status['deviceAuthorization'] = null
  #endWait: () => void = () => undefined

  constructor(options: DeviceSignInOptions) {
    this.#options = options
    this.#attempt = new SignInAttempt(options, () => this.#endWait())
    void this.#start()
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

  get deviceAuthorization(): Status['deviceAuthorization'] {
    return this.isDone ? null : this.#shown
  }

  get hasShown(): boolean {
    return this.#shown !== null
  }

  extend(seconds: number): void {
    this.#attempt.extend(seconds)
  }

  /** Opens nothing: the user has chosen another device. */
  async openBrowser(): Promise<void> {
    await this.started
  }

  async waitForLink(): Promise<void> {
    await this.started
  }

  fail(error: unknown): void {
    this.#attempt.fail(error)
  }

  async #start(): Promise<void> {
    const { provider, prepare, clock, onWaiting } = this.#options
    try {
      await prepare()
      if (provider.authorizeDevice === undefined) throw new RejectedError('device_authorization_unsupported')
      const device = await provider.authorizeDevice()
      if (this.isDone) return // cancelled in the meantime
      const { userCode, verificationUri, verificationUriComplete, lifetime } = device
      const expiresAt = Math.floor(clock.now() + lifetime)
      this.#shown = { userCode, verificationUri, verificationUriComplete, expiresAt }
      onWaiting()
      this.#attempt.start()
      await this.#poll(device)
    } catch (error) {
      this.fail(error)
    }
  }

  /** @throws what ends the sign-in */
  async #poll(device: DeviceAuthorization): Promise<void> {
    const { clock } = this.#options
    const end = clock.monotonic() + device.lifetime
    let interval = Math.max(SHORTEST_INTERVAL, device.interval)
    let wait = interval
    for (;;) {
      await this.#wait(wait)
      if (this.isDone) return
      if (clock.monotonic() >= end) throw new SignInError('timeout')
      try {
        const answer = await device.poll()
        if (typeof answer === 'object') return void (await this.#attempt.commit(answer))
        if (answer === 'slow_down') interval += SLOW_DOWN_SECONDS
        wait = interval
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
        // The user may be entering the code at this moment: the sign-in goes on, at a slower pace.
        wait = Math.max(interval, Math.min(LONGEST_WAIT, Math.max(2 * wait, error.retryAfterSeconds ?? 0)))
      }
    }
  }

  /** Resolves after `seconds`, or when the sign-in has ended. */
  #wait(seconds: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(seconds, resolve)
      this.#endWait = () => {
        cancel()
        resolve()
      }
    })
  }
}

/**
 * Asked before a running sign-in is replaced, which may be the only way that the user has.
 * @throws RejectedError if the provider has no sign-in on another device; UnavailableError
 */
export async function requireDeviceAuthorization(
  provider: Pick<IdentityProvider, 'canAuthorizeDevice'>,
): Promise<void> {
  if (await provider.canAuthorizeDevice?.()) return
  throw new RejectedError('device_authorization_unsupported')
}
