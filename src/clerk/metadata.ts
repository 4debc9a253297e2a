// The provider's metadata (OpenID Connect Discovery, RFC 8414), fetched, checked and remembered.
import { allowInsecureRequests, customFetch, discovery, None, type ServerMetadata } from 'openid-client'
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import { RejectedError, UnavailableError } from './errors.ts'
import { AnswerWatch } from './response-watch.ts'

const GOOD_FOR = 24 * 3600 // s; endpoints move once in years, and a failing refresh does not hinge on them

const ENDPOINTS = [
  'authorization_endpoint',
  'token_endpoint',
  'jwks_uri',
  'revocation_endpoint',
  'userinfo_endpoint',
] as const

export class Metadata {
  readonly #issuer: string
  readonly #clientId: string
  readonly #fetch: Fetch
  readonly #clock: Clock
  #known: { readonly metadata: ServerMetadata; readonly until: number } | undefined

  constructor(issuer: string, clientId: string, fetch: Fetch, clock: Clock) {
    this.#issuer = issuer
    this.#clientId = clientId
    this.#fetch = fetch
    this.#clock = clock
  }

  /** @throws UnavailableError, RejectedError */
  async get(): Promise<ServerMetadata> {
    const now = this.#clock.monotonic()
    if (this.#known && now < this.#known.until) return this.#known.metadata
    const metadata = await this.#discover()
    checkMetadata(metadata, this.#issuer)
    this.#known = { metadata, until: now + GOOD_FOR }
    return metadata
  }

  async #discover(): Promise<ServerMetadata> {
    const watch = new AnswerWatch(this.#fetch, this.#clock)
    try {
      const configuration = await discovery(new URL(this.#issuer), this.#clientId, undefined, None(), {
        [customFetch]: watch.fetch,
        execute: this.#issuer.startsWith('http:') ? [allowInsecureRequests] : [],
      })
      return configuration.serverMetadata()
    } catch (error) {
      if (isIssuerMismatch(error)) throw new RejectedError('issuer_mismatch')
      const failure = watch.failure()
      throw failure instanceof UnavailableError ? failure : new UnavailableError('server')
    }
  }
}

function isIssuerMismatch(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED'
}

/**
 * Refuses metadata that is not the configured issuer's, that could lead a browser or a token elsewhere, or that knows
 * no PKCE with S256.
 * @throws RejectedError
 */
export function checkMetadata(metadata: ServerMetadata, issuer: string): void {
  if (metadata.issuer !== issuer) throw new RejectedError('issuer_mismatch') // RFC 8414 section 3.3: identical
  const home = new URL(issuer)
  for (const name of ENDPOINTS) {
    const value = metadata[name]
    if (value === undefined && (name === 'revocation_endpoint' || name === 'userinfo_endpoint')) continue
    if (typeof value !== 'string' || !isAtHome(value, home)) throw new RejectedError('unsafe_metadata')
  }
  // RFC 8414 section 2: left out means no PKCE at all, and we never go without.
  if (!metadata.code_challenge_methods_supported?.includes('S256')) throw new RejectedError('pkce_unsupported')
}

function isAtHome(endpoint: string, home: URL): boolean {
  if (endpoint.length > 2048 || !URL.canParse(endpoint)) return false
  const url = new URL(endpoint)
  if (url.username !== '' || url.password !== '' || url.hash !== '') return false
  if (home.protocol === 'http:') return url.origin === home.origin
  return url.protocol === 'https:' && (url.hostname === home.hostname || url.hostname.endsWith(`.${home.hostname}`))
}
