// How long no prompt of the keyring appears after one that was dismissed: a client that asks all night raises four at most.
import type { Clock } from '../host/clock.ts'
import { StoreError } from './errors.ts'
import type { Keyring } from './keyring.ts'

// As for the browser. After the last one only a person's act raises another prompt, or a new start of the daemon.
const RESTS = [60, 15 * 60, 2 * 3600] // s
const LOOK_SECONDS = 5 // a client that asks often must not start a program for each call

const RESTING =
  'the keyring that holds the store key is locked, and its prompt was dismissed; unlock it, or run cadzero-auth login to be asked again'

export class PromptRest {
  readonly #clock: Clock
  #dismissed = 0
  #until = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get isOver(): boolean {
    return this.#clock.monotonic() >= this.#until
  }

  /** The keyring stays locked although it was asked: the user has dismissed its prompt, or saw none. */
  begin(): void {
    this.#until = this.#clock.monotonic() + (RESTS[this.#dismissed] ?? Number.POSITIVE_INFINITY)
    this.#dismissed++
  }

  /** The keyring is open, or a person has just asked for something that needs it. */
  end(): void {
    this.#dismissed = 0
    this.#until = 0
  }
}

/**
 * A keyring that is not asked while its prompt rests, unless it is unlocked by now.
 * @param isUnlocked tells that without a prompt; false if it is not known
 */
export function restingKeyring(
  keyring: Keyring,
  rest: PromptRest,
  clock: Clock,
  isUnlocked: () => Promise<boolean>,
): Keyring {
  let nextLook = 0
  const mayAsk = async () => {
    if (rest.isOver) return true
    if (clock.monotonic() < nextLook) return false
    nextLook = clock.monotonic() + LOOK_SECONDS
    return await isUnlocked()
  }
  const ask = async <T>(call: () => Promise<T>): Promise<T> => {
    if (!(await mayAsk())) throw new StoreError('key_locked', RESTING)
    try {
      const result = await call()
      rest.end()
      return result
    } catch (error) {
      if (error instanceof StoreError && error.code === 'key_locked') rest.begin()
      throw error
    }
  }
  return {
    get: () => ask(() => keyring.get()),
    set: (text) => ask(() => keyring.set(text)),
    remove: () => keyring.remove(),
  }
}
