// The keys that verify ID tokens (JWKS, RFC 7517), fetched when a sign-in starts: if their address is down later, the code is not lost.
import { createRemoteJWKSet, customFetch, type JSONWebKeySet } from 'jose'
import { type Configuration, type ServerMetadata, setJwksCache } from 'openid-client'
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'

const LONGEST_USE = 600 // s; as long as a device code is usually valid
const AGE = 60 // s; from this age on openid-client fetches the keys again for a token of a key that they lack

export class SigningKeys {
  readonly #fetch: Fetch
  readonly #clock: Clock
  #cached: { readonly jwks: JSONWebKeySet; readonly until: number } | undefined

  constructor(fetch: Fetch, clock: Clock) {
    this.#fetch = fetch
    this.#clock = clock
  }

  /** Fetches the keys. Never throws: without them, openid-client fetches them when it needs them. */
  async prefetch({ jwks_uri: uri }: ServerMetadata): Promise<void> {
    if (uri === undefined) return
    const keys = createRemoteJWKSet(new URL(uri), {
      [customFetch]: (url, { headers }) => this.#fetch(url, { headers }),
    })
    await keys.reload().catch(() => undefined)
    const jwks = keys.jwks()
    if (jwks) this.#cached = { jwks, until: this.#clock.monotonic() + LONGEST_USE }
  }

  /** Gives the keys to the operations of a configuration, if there are any. */
  giveTo(configuration: Configuration): void {
    if (this.#cached === undefined || this.#clock.monotonic() >= this.#cached.until) return
    const uat = Math.floor(this.#clock.now()) - AGE
    setJwksCache(configuration, { jwks: this.#cached.jwks, uat })
  }
}
