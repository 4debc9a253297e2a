// The options of the broker, and their check: a mistake is an error at the start, never an answer that signs users out.
import type { Clock } from '../host/clock.ts'
import { isSafeUrl } from '../host/network.ts'
import type { ClerkCalls } from './clerk-calls.ts'
import type { SessionTokenExchange } from './grants.ts'
import type { Limits } from './limits.ts'
import type { BrokerLogFields } from './log-fields.ts'
import type { Monitor } from './monitor.ts'
import { parsePublicKey } from './public-key.ts'
import type { RedisConnection } from './redis.ts'
import type { SingleUse } from './single-use.ts'

export interface BrokerOptions {
  /** Clerk's secret key, `sk_…`. */
  readonly secretKey: string
  /** The broker's own keys, 32 bytes each: the first encrypts, all of them decrypt. */
  readonly keys: readonly Uint8Array[]
  /** Frontend API URLs of the Clerk instance whose tokens are accepted. */
  readonly issuers: readonly string[]
  /** The URL at which clients reach the broker, as in their `brokerUrl`: DPoP proofs are made for it. */
  readonly publicUrl: string
  /** The origins of the pages that may hand a session over: a token's `azp` must be one of them. */
  readonly authorizedParties: readonly string[]
  /** The `aud` of a JWT template that the page uses for the broker alone. With it, no other token opens the broker. */
  readonly audience?: string
  /** Clerk's Backend API; default `https://api.clerk.com`. */
  readonly apiUrl?: string
  /** The instance's public key as PEM. With it, no keys are fetched. */
  readonly jwtKey?: string
  /** JWT template for issued tokens; default none: session tokens. */
  readonly template?: string
  /** Lifetime of issued tokens in seconds, at least 30; default Clerk's own (60). */
  readonly tokenSeconds?: number
  /** Seconds without use after which a refresh token is outdated; default 30 days. */
  readonly refreshTokenSeconds?: number
  /** Seconds from a sign-in to the end of its last refresh token; default 180 days. */
  readonly chainSeconds?: number
  /** How far ahead the end of an active session is kept, in seconds (Clerk's custom session limits); default off. */
  readonly sessionSeconds?: number
  /** Whether a session token may be exchanged for a refresh token: with a DPoP proof (`bound`, the default), without, or not at all. */
  readonly sessionTokens?: SessionTokenExchange
  /** Unix time in seconds from which the bearer tokens of version 1.0 are refused; default never. */
  readonly unboundUntil?: number
  /** Limit for each user; default 60. */
  readonly requestsPerMinute?: number
  /** Limit for each address, if the server tells the address; default 3000. */
  readonly requestsPerMinuteOfAddress?: number
  /** Timeout of each call to Clerk in seconds; default 5. */
  readonly deadlineSeconds?: number
  /** Sends the requests to Clerk; default over 64 kept connections. */
  readonly calls?: ClerkCalls
  /** Default in the memory of this copy. */
  readonly singleUse?: SingleUse
  /** Default in the memory of this copy. */
  readonly limits?: Limits
  /** The Redis that the copies share, for `limits`, `singleUse` and the requests to Clerk. */
  readonly redis?: RedisConnection
  /** Requests to Clerk's Backend API in ten seconds; default 900 with a live secret key, and 90 with a test key. */
  readonly clerkRequestsIn10Seconds?: number
  /** Requests that are answered at once; more are refused with 503. Default 512. */
  readonly maxInFlight?: number
  /** Readiness and metrics. */
  readonly monitor?: Monitor
  readonly log?: (fields: BrokerLogFields) => void
  readonly clock?: Clock
}

const KEY_BYTES = 32
const [SHORTEST_TOKEN, LONGEST_TOKEN] = [30, 315_360_000] // s; Clerk's limits
const [SHORTEST_SESSION, LONGEST_SESSION] = [300, 315_360_000] // s; Clerk's limits

/** @throws TypeError that names the option, and nothing of its value, which may be a secret */
export function checkOptions(options: BrokerOptions): void {
  const { secretKey, keys, issuers, publicUrl, authorizedParties, audience, apiUrl, jwtKey, template } = options
  check(typeof secretKey === 'string' && /^sk_(test|live)_\S+$/.test(secretKey), 'secretKey', 'sk_test_… or sk_live_…')
  const areKeys = Array.isArray(keys) && keys.length > 0 && keys.every(isKey)
  check(areKeys, 'keys', `one or more keys of ${KEY_BYTES} bytes`)
  check(isList(issuers, isBaseUrl), 'issuers', 'Frontend API URLs without a trailing slash')
  check(isBaseUrl(publicUrl), 'publicUrl', 'an https URL without a trailing slash (http on loopback)')
  check(
    isList(authorizedParties, isOrigin),
    'authorizedParties',
    'one or more origins, such as https://www.example.com',
  )
  check(audience === undefined || isText(audience), 'audience', 'the aud of a JWT template')
  check(apiUrl === undefined || isSafeUrl(apiUrl), 'apiUrl', 'an https URL (http on loopback)')
  check(jwtKey === undefined || parsePublicKey(jwtKey) !== undefined, 'jwtKey', 'the public key of the instance as PEM')
  check(template === undefined || isText(template), 'template', 'the name of a JWT template')
  checkNumbers(options)
  const { sessionTokens = 'bound', unboundUntil } = options
  check(['bound', 'unbound', 'off'].includes(sessionTokens), 'sessionTokens', 'bound, unbound or off')
  const isContradiction = sessionTokens === 'unbound' && unboundUntil !== undefined
  check(!isContradiction, 'unboundUntil', 'unset while sessionTokens is unbound')
}

function checkNumbers(options: BrokerOptions): void {
  const range = (name: keyof BrokerOptions, minimum: number, maximum: number) => {
    const value: unknown = options[name]
    const isRight =
      value === undefined || (Number.isFinite(value) && Number(value) >= minimum && Number(value) <= maximum)
    check(isRight, name, `a number from ${minimum} to ${maximum}`)
  }
  range('tokenSeconds', SHORTEST_TOKEN, LONGEST_TOKEN)
  range('sessionSeconds', SHORTEST_SESSION, LONGEST_SESSION)
  range('refreshTokenSeconds', 60, LONGEST_SESSION)
  range('chainSeconds', 60, LONGEST_SESSION)
  range('unboundUntil', 0, Number.MAX_SAFE_INTEGER)
  range('requestsPerMinute', 1, 1_000_000)
  range('requestsPerMinuteOfAddress', 1, 1_000_000)
  range('deadlineSeconds', 0.1, 60)
  range('clerkRequestsIn10Seconds', 1, 1_000_000)
  range('maxInFlight', 1, 100_000)
}

function check(isRight: boolean, option: keyof BrokerOptions, expected: string): void {
  if (!isRight) throw new TypeError(`${option}: expected ${expected}`)
}

function isKey(key: unknown): boolean {
  return key instanceof Uint8Array && key.length === KEY_BYTES
}

function isList(values: unknown, isRight: (value: unknown) => boolean): boolean {
  return Array.isArray(values) && values.length > 0 && values.every(isRight)
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isBaseUrl(value: unknown): boolean {
  return typeof value === 'string' && isSafeUrl(value) && !value.endsWith('/') && !/[?#]/.test(value)
}

function isOrigin(value: unknown): boolean {
  return isBaseUrl(value) && new URL(String(value)).origin === value
}
