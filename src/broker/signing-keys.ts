// Clerk's public keys. They are fetched at the start and then by a timer; all who need a new one share one fetch.
//
// A token with a key id that the broker does not know may be a stranger's. It causes one fetch in ten seconds at most, and
// never delays a token whose key is known.
import type { JsonWebKey } from 'node:crypto'
import * as v from 'valibot'
import type { CancelTimer, Clock } from '../host/clock.ts'
import type { ClerkApi } from './clerk-api.ts'
import { ClerkRejection, fromRejection } from './clerk-errors.ts'
import { BrokerError } from './errors.ts'

const keySchema = v.looseObject({ kid: v.pipe(v.string(), v.minLength(1)), kty: v.string() })
const keySetSchema = v.looseObject({ keys: v.array(keySchema) })

/** A public key as JWK, or as PEM if the operator configured it. */
export type SigningKey = JsonWebKey | string

export interface SigningKeysOptions {
  readonly api: ClerkApi
  /** The instance's public key as PEM: then none is fetched. */
  readonly jwtKey: string | undefined
  readonly clock: Clock
}

const REFRESH_SECONDS = 3600
const COOLDOWN = 10 // s between two fetches for unknown key ids
const RETRY_SECONDS = 1 // after a failed fetch

export class SigningKeys {
  readonly #options: SigningKeysOptions
  #keys: ReadonlyMap<string, SigningKey> = new Map()
  #fetching: Promise<void> | undefined
  #nextFetchAt = Number.NEGATIVE_INFINITY
  #cancelTimer: CancelTimer | undefined

  constructor(options: SigningKeysOptions) {
    this.#options = options
  }

  /** Whether tokens can be verified. */
  get isLoaded(): boolean {
    return this.#options.jwtKey !== undefined || this.#keys.size > 0
  }

  /** Fetches the keys now, and then by a timer until `stop`. */
  start(): void {
    if (this.#cancelTimer !== undefined || this.#options.jwtKey !== undefined) return
    this.#cancelTimer = () => undefined
    void this.#fetchByTimer()
  }

  stop(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  /** Fetches the keys now, with all who wait for them. @throws BrokerError */
  async fetch(): Promise<void> {
    this.start()
    await this.#fetch()
  }

  /** @throws BrokerError invalid_grant if Clerk has no such key; temporarily_unavailable if that is not known yet */
  async find(keyId: string): Promise<SigningKey> {
    const { jwtKey, clock } = this.#options
    if (jwtKey !== undefined) return jwtKey
    this.start()
    const known = this.#keys.get(keyId)
    if (known) return known
    const waitSeconds = Math.ceil(this.#nextFetchAt - clock.monotonic())
    if (this.#fetching === undefined && waitSeconds > 0) {
      throw new BrokerError('temporarily_unavailable', 'unknown_signing_key', waitSeconds)
    }
    await this.#fetch()
    const key = this.#keys.get(keyId)
    if (!key) throw new BrokerError('invalid_grant', 'unknown_signing_key')
    return key
  }

  /** Fetches the keys, or waits for the fetch that runs. @throws BrokerError */
  #fetch(): Promise<void> {
    const { clock } = this.#options
    const settle = (waitSeconds: number) => {
      this.#fetching = undefined
      this.#nextFetchAt = clock.monotonic() + waitSeconds
    }
    this.#fetching ??= this.#load().then(
      () => settle(COOLDOWN),
      (error: unknown) => {
        settle(RETRY_SECONDS)
        throw error
      },
    )
    return this.#fetching
  }

  async #load(): Promise<void> {
    const { api } = this.#options
    const body = await api.send({ operation: 'keys', method: 'GET', target: '/v1/jwks' }).catch((error: unknown) => {
      const known = fromRejection(error)
      throw known instanceof ClerkRejection ? new BrokerError('misconfigured', 'secret_key_rejected') : known
    })
    this.#keys = new Map(keysOf(body).map((key) => [key.kid, key]))
  }

  async #fetchByTimer(): Promise<void> {
    await this.#fetch().catch(() => undefined)
    if (this.#cancelTimer === undefined) return
    const seconds = this.isLoaded ? REFRESH_SECONDS : RETRY_SECONDS
    this.#cancelTimer = this.#options.clock.after(seconds, () => void this.#fetchByTimer())
  }
}

/** The RSA keys of a JWKS. @throws BrokerError invalid_response */
export function keysOf(body: unknown): readonly (JsonWebKey & { readonly kid: string })[] {
  const { success, output } = v.safeParse(keySetSchema, body)
  const keys = success ? output.keys.filter(({ kty }) => kty === 'RSA') : []
  if (keys.length === 0) throw new BrokerError('invalid_response', 'jwks_invalid')
  return keys as (JsonWebKey & { kid: string })[]
}
