// Remembers what may be used once: in the memory of this copy, unless the operator has a store that the copies share.
import type { Clock } from '../host/clock.ts'
import { BrokerError } from './errors.ts'

/** `session_token`: a token that opened the broker; `code`: an authorization code; `proof`: a DPoP proof. */
export type SingleUseKind = 'session_token' | 'code' | 'proof'

export interface SingleUse {
  /**
   * True for the first call with this id within its lifetime.
   * @param id at most 64 characters of base64url
   * @param seconds how long the id must be remembered: until it would be refused as outdated
   * @throws BrokerError temporarily_unavailable if the store cannot say
   */
  claim(kind: SingleUseKind, id: string, seconds: number): Promise<boolean>
}

const MAX_IDS = 500_000 // about 60 MB: more proofs in a minute than one process can check

export class MemorySingleUse implements SingleUse {
  readonly #clock: Clock
  readonly #maxIds: number
  /** The time until which an id is remembered, of the monotonic clock. */
  readonly #until = new Map<string, number>()
  #sweptAt: number

  constructor(clock: Clock, maxIds = MAX_IDS) {
    this.#clock = clock
    this.#maxIds = maxIds
    this.#sweptAt = clock.monotonic()
  }

  async claim(kind: SingleUseKind, id: string, seconds: number): Promise<boolean> {
    const now = this.#clock.monotonic()
    this.#sweep(now)
    const key = `${kind} ${id}`
    const until = this.#until.get(key)
    if (until !== undefined && now < until) return false
    // To forget an id that is still valid would let it be used twice.
    if (this.#until.size >= this.#maxIds) throw new BrokerError('temporarily_unavailable', 'single_use_full')
    this.#until.set(key, now + seconds)
    return true
  }

  #sweep(now: number): void {
    if (now - this.#sweptAt < SWEEP_SECONDS) return
    this.#sweptAt = now
    for (const [key, until] of this.#until) if (until <= now) this.#until.delete(key)
  }
}

const SWEEP_SECONDS = 10
