// The provider's metadata (OpenID Connect Discovery, RFC 8414): fetched, checked and cached.
import { allowInsecureRequests, customFetch, discovery, None, type ServerMetadata } from 'openid-client'
import type { Clock } from '../host/clock.ts'
import type { Fetch } from '../host/network.ts'
import { RejectedError, UnavailableError } from './errors.ts'
import { ResponseWatch } from './response-watch.ts'

const CACHE_SECONDS = 24 * 3600 // endpoints hardly ever move, and a refresh that fails does not need newer ones
const LONGEST_URL = 2048

const ENDPOINTS = [
  'authorization_endpoint',
  'token_endpoint',
  'jwks_uri',
  'revocation_endpoint',
  'userinfo_endpoint',
  'device_authorization_endpoint',
] as const
const OPTIONAL: readonly string[] = ['revocation_endpoint', 'userinfo_endpoint', 'device_authorization_endpoint']

export class Metadata {
  readonly #issuer: string
  readonly #clientId: string
  readonly #fetch: Fetch
  readonly #clock: Clock
  #cached: { readonly metadata: ServerMetadata; readonly until: number } | undefined

  constructor(issuer: string, clientId: string, fetch: Fetch, clock: Clock) {
    this.#issuer = issuer
    this.#clientId = clientId
    this.#fetch = fetch
    this.#clock = clock
  }

  /** @throws UnavailableError, RejectedError */
  async get(): Promise<ServerMetadata> {
    const now = this.#clock.monotonic()
    if (this.#cached && now < this.#cached.until) return this.#cached.metadata
    const metadata = await this.#discover()
    checkMetadata(metadata, this.#issuer)
    this.#cached = { metadata, until: now + CACHE_SECONDS }
    return metadata
  }

  async #discover(): Promise<ServerMetadata> {
    const watch = new ResponseWatch(this.#fetch, this.#clock)
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
 * Refuses metadata of another issuer, metadata that could send the browser or a token elsewhere, and metadata without
 * PKCE by S256.
 * @throws RejectedError
 */
export function checkMetadata(metadata: ServerMetadata, issuer: string): void {
  if (metadata.issuer !== issuer) throw new RejectedError('issuer_mismatch') // RFC 8414 section 3.3: identical
  const issuerUrl = new URL(issuer)
  for (const name of ENDPOINTS) {
    const value = metadata[name]
    if (value === undefined && OPTIONAL.includes(name)) continue
    if (typeof value !== 'string' || !belongsTo(issuerUrl, value)) throw new RejectedError('unsafe_metadata')
  }
  // RFC 8414 section 2: if it is absent, the provider has no PKCE, and the daemon requires it.
  if (!metadata.code_challenge_methods_supported?.includes('S256')) throw new RejectedError('pkce_unsupported')
}

/** Whether an endpoint is at the issuer's host or below it; over http, at exactly the issuer's origin. */
function belongsTo(issuer: URL, endpoint: string): boolean {
  if (endpoint.length > LONGEST_URL || !URL.canParse(endpoint)) return false
  const url = new URL(endpoint)
  if (url.username !== '' || url.password !== '' || url.hash !== '') return false
  if (issuer.protocol === 'http:') return url.origin === issuer.origin
  return url.protocol === 'https:' && (url.hostname === issuer.hostname || url.hostname.endsWith(`.${issuer.hostname}`))
}
