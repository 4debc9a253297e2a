// The broker's configuration from environment variables, normalised and checked: all errors at once, and none repeats a value.
import { isSafeUrl } from '../host/network.ts'
import { type Environment, EnvironmentReader, listOf, type SettingProblem } from './environment.ts'
import type { BrokerOptions } from './options.ts'
import { parsePublicKey } from './public-key.ts'
import type { Listener } from './server.ts'

export { type Environment, readSecretFiles, SettingsError } from './environment.ts'

export interface BrokerSettings {
  readonly options: Omit<BrokerOptions, 'log' | 'clock' | 'calls' | 'limits' | 'singleUse' | 'redis' | 'monitor'>
  readonly listener: Listener
  /** Undefined: metrics are served on the port of the broker, to this computer alone. */
  readonly metricsListener: Listener | undefined
  /** Proxies of the operator's in front of the broker; undefined if the operator has not said so: then no limit counts addresses. */
  readonly trustedHops: number | undefined
  readonly redisUrl: string | undefined
  /** Variables that look like settings and are none. */
  readonly unknown: readonly string[]
  /** Seconds after SIGTERM in which requests are still accepted, while load balancers notice. */
  readonly drainSeconds: number
}

/** The secrets: each can come from a file that `NAME_FILE` names. */
export const SECRETS = ['CLERK_SECRET_KEY', 'CADZERO_BROKER_KEY', 'CLERK_JWT_KEY', 'CADZERO_BROKER_REDIS_URL'] as const

const KEY_BYTES = 32
const LOOPBACK = '127.0.0.1'
const METRICS_PORT = 'the port for /metrics, such as 9464, or unset CADZERO_BROKER_METRICS_HOST'
const TEN_YEARS = 315_360_000 // s; Clerk's limit
const SESSION_TOKENS = ['bound', 'unbound', 'off'] as const
const CONTRADICTION: SettingProblem = {
  variable: 'CADZERO_BROKER_UNBOUND_UNTIL',
  problem: 'is set although CADZERO_BROKER_SESSION_TOKENS is unbound',
  hint: 'unset CADZERO_BROKER_UNBOUND_UNTIL until all daemons are up to date, or set CADZERO_BROKER_SESSION_TOKENS to bound or off',
}

/** The options of a broker that is mounted in another server. @throws SettingsError */
export function optionsFromEnvironment(env: Environment): BrokerSettings['options'] {
  return readSettings(env).options
}

/** @throws SettingsError that names every variable that is missing or wrong, `problems` among them */
export function readSettings(env: Environment, problems: readonly SettingProblem[] = []): BrokerSettings {
  const reader = new EnvironmentReader(env, problems)
  const secretKey = reader.required(
    'CLERK_SECRET_KEY',
    'a secret key of the Clerk instance (sk_test_… or sk_live_…); Clerk shows each one only when it is created',
    (text) => (/^sk_(test|live)_\S+$/.test(text) ? text : undefined),
  )
  const options = readOptions(reader, secretKey ?? '')
  if (options.sessionTokens === 'unbound' && options.unboundUntil !== undefined) reader.add(CONTRADICTION)
  const settings = {
    options,
    listener: {
      host: addressOf(reader, 'CADZERO_BROKER_HOST') ?? LOOPBACK,
      port: reader.wholeNumber('CADZERO_BROKER_PORT', 0, 65_535) ?? 8787,
    },
    metricsListener: metricsListenerOf(reader),
    trustedHops: reader.wholeNumber('CADZERO_BROKER_TRUSTED_HOPS', 0, 10),
    redisUrl: reader.optional(
      'CADZERO_BROKER_REDIS_URL',
      'redis://HOST:PORT or rediss://USER:PASSWORD@HOST:PORT',
      redisUrl,
    ),
    drainSeconds: reader.wholeNumber('CADZERO_BROKER_DRAIN_SECONDS', 0, 300) ?? 5,
  }
  reader.done()
  return { ...settings, unknown: unknownOf(reader) }
}

function unknownOf(reader: EnvironmentReader): readonly string[] {
  const files = SECRETS.map((name) => `${name}_FILE`)
  // Kubernetes sets the latter for a Service of the name cadzero-broker.
  return reader
    .unread('CADZERO_BROKER_')
    .filter((name) => !files.includes(name) && !/^CADZERO_BROKER_(?:SERVICE_|PORT_\d)/.test(name))
}

function readOptions(reader: EnvironmentReader, secretKey: string): BrokerSettings['options'] {
  const required = {
    secretKey,
    issuers:
      reader.required(
        'CADZERO_BROKER_INSTANCES',
        'the Frontend API URLs of the accepted instances, such as https://clerk.example.com, separated by commas',
        listOf(baseUrl),
      ) ?? [],
    keys:
      reader.required(
        'CADZERO_BROKER_KEY',
        'the output of: cadzero-auth broker --generate-key (32 random bytes as base64url). Separate several keys by commas: the first encrypts, all decrypt',
        listOf(key),
      ) ?? [],
    publicUrl:
      reader.required(
        'CADZERO_BROKER_PUBLIC_URL',
        'the brokerUrl of the clients, such as https://api.example.com, without /api/auth',
        publicUrl,
      ) ?? '',
    authorizedParties:
      reader.required(
        'CADZERO_BROKER_AUTHORIZED_PARTIES',
        'the origins of the sign-in pages, such as https://www.example.com, separated by commas',
        listOf(origin),
      ) ?? [],
  }
  return { ...required, ...definedOf({ ...clerkOptions(reader), ...lifetimes(reader), ...limits(reader) }) }
}

function clerkOptions(reader: EnvironmentReader) {
  const name = (text: string) => (/^[\w.-]{1,128}$/.test(text) ? text : undefined)
  return {
    audience: reader.optional(
      'CADZERO_BROKER_AUDIENCE',
      'the aud of the JWT template that the page uses',
      (text) => text,
    ),
    apiUrl: reader.optional('CLERK_API_URL', 'an https URL (http on loopback), or unset it for Clerk’s own', baseUrl),
    jwtKey: reader.optional('CLERK_JWT_KEY', 'the public key of the instance as PEM', parsePublicKey),
    template: reader.optional('CADZERO_BROKER_TEMPLATE', 'the name of a JWT template', name),
    sessionTokens: reader.optional('CADZERO_BROKER_SESSION_TOKENS', 'bound, unbound or off', (text) =>
      SESSION_TOKENS.find((one) => one === text),
    ),
  }
}

function limits(reader: EnvironmentReader) {
  return {
    requestsPerMinute: reader.wholeNumber('CADZERO_BROKER_USER_REQUESTS', 1, 1_000_000),
    requestsPerMinuteOfAddress: reader.wholeNumber('CADZERO_BROKER_ADDRESS_REQUESTS', 1, 1_000_000),
    clerkRequestsIn10Seconds: reader.wholeNumber('CADZERO_BROKER_CLERK_REQUESTS', 1, 1_000_000),
    maxInFlight: reader.wholeNumber('CADZERO_BROKER_MAX_IN_FLIGHT', 1, 100_000),
  }
}

/** In seconds; `unboundUntil` is a Unix time. */
function lifetimes(reader: EnvironmentReader) {
  return {
    tokenSeconds: reader.wholeNumber('CADZERO_BROKER_TOKEN_SECONDS', 30, TEN_YEARS),
    sessionSeconds: reader.wholeNumber('CADZERO_BROKER_SESSION_SECONDS', 300, TEN_YEARS),
    refreshTokenSeconds: reader.wholeNumber('CADZERO_BROKER_REFRESH_TOKEN_SECONDS', 60, TEN_YEARS),
    chainSeconds: reader.wholeNumber('CADZERO_BROKER_CHAIN_SECONDS', 60, TEN_YEARS),
    unboundUntil: reader.optional('CADZERO_BROKER_UNBOUND_UNTIL', 'a date such as 2027-03-31', date),
  }
}

type Defined<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> }

function definedOf<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>
}

function metricsListenerOf(reader: EnvironmentReader): Listener | undefined {
  const host = addressOf(reader, 'CADZERO_BROKER_METRICS_HOST')
  if (host !== undefined) reader.required('CADZERO_BROKER_METRICS_PORT', METRICS_PORT, (text) => text)
  const port = reader.wholeNumber('CADZERO_BROKER_METRICS_PORT', 0, 65_535)
  return port === undefined ? undefined : { host: host ?? LOOPBACK, port }
}

function addressOf(reader: EnvironmentReader, name: string): string | undefined {
  const parse = (text: string) => (/^[\w.:%-]{1,253}$/.test(text) ? text : undefined)
  return reader.optional(name, 'the address to listen on', parse)
}

/** Without a slash at the end, as Clerk writes `iss`. */
function baseUrl(text: string): string | undefined {
  return isSafeUrl(text) ? new URL(text).href.replace(/\/+$/, '') : undefined
}

/** A base that already has the path of the endpoints would fit no proof. */
function publicUrl(text: string): string | undefined {
  const url = baseUrl(text)
  return url !== undefined && /\/api\/auth(?:\/|$)/.test(url) ? undefined : url
}

/** As a browser writes it in `azp`: scheme, host and port, without a slash at the end. */
function origin(text: string): string | undefined {
  if (!isSafeUrl(text)) return undefined
  const url = new URL(text)
  return url.pathname === '/' ? url.origin : undefined
}

function key(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(/^[\w-]{43}$/.test(text) ? text : '', 'base64url')
  return bytes.length === KEY_BYTES ? bytes : undefined
}

/** The end of a day (UTC) as Unix time in seconds. */
function date(text: string): number | undefined {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T23:59:59Z`) : Number.NaN
  if (Number.isNaN(time) || !new Date(time).toISOString().startsWith(text)) return undefined // 2027-02-31 is no date
  return time / 1000
}

function redisUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { protocol, hostname } = new URL(text)
  return ['redis:', 'rediss:'].includes(protocol) && hostname !== '' ? text : undefined
}
