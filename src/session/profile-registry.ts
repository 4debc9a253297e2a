// One authenticator per profile, created when it is first asked for.
import type { Log } from '../log/log.ts'
import type { Authenticator } from './authenticator.ts'

export interface ProfileRegistryOptions {
  /** Creates the authenticator of a profile. @throws ConfigurationError */
  readonly create: (profile: string) => Authenticator
  /** The name of the default profile. @throws ConfigurationError if the configuration cannot be read */
  readonly defaultProfile: () => string
  readonly log: Log
}

export class ProfileRegistry {
  readonly #options: ProfileRegistryOptions
  readonly #known = new Map<string, Authenticator>()

  constructor(options: ProfileRegistryOptions) {
    this.#options = options
  }

  /** @param profile the default profile if undefined @throws ConfigurationError if there is no such profile, or it is not usable */
  get(profile: string | undefined): Authenticator {
    const name = profile ?? this.#options.defaultProfile()
    const known = this.#known.get(name)
    if (known) return known
    const authenticator = this.#options.create(name)
    this.#known.set(name, authenticator)
    return authenticator
  }

  /** Reads the default profile's session, so that the first caller finds it in memory. Never throws. */
  async loadDefault(): Promise<void> {
    try {
      await this.get(undefined).load()
    } catch {
      this.#options.log.warn('session_not_loaded') // each caller is told the reason
    }
  }

  /** Applies what the clock says to each session, so that clients are told without a call. */
  followClock(): void {
    for (const authenticator of this.#known.values()) authenticator.followClock()
  }

  /** The profiles whose session is in memory only, because it could not be saved. */
  get unsaved(): string[] {
    const isUnsaved = ([, authenticator]: [string, Authenticator]) => authenticator.isUnsaved
    return [...this.#known].filter(isUnsaved).map(([name]) => name)
  }

  /** Ends the sign-ins under way, and starts no refresh from now on. */
  stop(): void {
    for (const authenticator of this.#known.values()) authenticator.stop()
  }

  /** Resolves when everything under way has reached the disk. */
  async settled(): Promise<void> {
    await Promise.all([...this.#known.values()].map((authenticator) => authenticator.settled()))
  }
}
