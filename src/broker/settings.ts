// The broker's configuration from environment variables. Errors name the variable, never its value, which may be a secret.
import { isSafeUrl } from '../host/network.ts'
import type { BrokerOptions } from './broker.ts'

/** An environment variable is missing or invalid. */
export class SettingError extends Error {
  constructor(
    readonly variable: string,
    problem: 'missing' | 'invalid',
    readonly hint: string,
  ) {
    super(`${variable} is ${problem}`)
    this.name = 'SettingError'
  }
}

export interface BrokerSettings {
  readonly options: Omit<BrokerOptions, 'log' | 'clock'>
  readonly host: string
  readonly port: number
}

type Environment = Readonly<Record<string, string | undefined>>

const KEY_BYTES = 32

/** @throws SettingError */
export function readSettings(env: Environment): BrokerSettings {
  const apiUrl = apiUrlOf(env)
  const jwtKey = jwtKeyOf(env)
  const template = text(env, 'CADZERO_BROKER_TEMPLATE', /^[\w.-]{1,128}$/, 'the name of a JWT template')
  const tokenSeconds = wholeNumber(env, 'CADZERO_BROKER_TOKEN_SECONDS', 30, 315_360_000)
  return {
    options: {
      secretKey: secretKeyOf(env),
      issuers: issuersOf(env),
      keys: keysOf(env),
      authorizedParties: listOf(env.CADZERO_BROKER_AUTHORIZED_PARTIES),
      ...(apiUrl === undefined ? {} : { apiUrl }),
      ...(jwtKey === undefined ? {} : { jwtKey }),
      ...(template === undefined ? {} : { template }),
      ...(tokenSeconds === undefined ? {} : { tokenSeconds }),
    },
    host: env.CADZERO_BROKER_HOST || '127.0.0.1',
    port: wholeNumber(env, 'CADZERO_BROKER_PORT', 0, 65_535) ?? 8787,
  }
}

function secretKeyOf(env: Environment): string {
  const name = 'CLERK_SECRET_KEY'
  const expected = 'the secret key of the Clerk instance (sk_test_… or sk_live_…)'
  const key = text(env, name, /^sk_(test|live)_\S+$/, expected)
  if (key === undefined) throw new SettingError(name, 'missing', hintFor(name, expected))
  return key
}

function issuersOf(env: Environment): string[] {
  const name = 'CADZERO_BROKER_INSTANCES'
  const issuers = listOf(env[name])
  if (issuers.length > 0 && issuers.every(isSafeUrl)) return issuers
  const expected = 'the Frontend API URLs of the accepted instances, separated by commas'
  throw new SettingError(name, problemOf(env, name), hintFor(name, expected))
}

function keysOf(env: Environment): Uint8Array[] {
  const name = 'CADZERO_BROKER_KEY'
  const keys = listOf(env[name])
    .map((key) => (/^[\w-]{43}$/.test(key) ? key : ''))
    .map((key) => Buffer.from(key, 'base64url'))
  if (keys.length > 0 && keys.every(({ length }) => length === KEY_BYTES)) return keys
  const expected =
    'the output of: cadzero-auth broker --generate-key (32 random bytes as base64url). Separate several keys by commas: the first encrypts, all decrypt'
  throw new SettingError(name, problemOf(env, name), hintFor(name, expected))
}

function apiUrlOf(env: Environment): string | undefined {
  const name = 'CLERK_API_URL'
  const url = env[name] || undefined
  if (url === undefined || isSafeUrl(url)) return url
  throw new SettingError(name, 'invalid', `unset ${name} for Clerk’s own, or set it to an https URL (http on loopback)`)
}

function jwtKeyOf(env: Environment): string | undefined {
  const name = 'CLERK_JWT_KEY'
  const key = env[name] || undefined
  if (key === undefined || key.includes('BEGIN PUBLIC KEY')) return key
  throw new SettingError(name, 'invalid', hintFor(name, 'the public key of the instance as PEM'))
}

function wholeNumber(env: Environment, name: string, minimum: number, maximum: number): number | undefined {
  const expected = `a whole number from ${minimum} to ${maximum}`
  const digits = text(env, name, /^\d{1,9}$/, expected)
  if (digits === undefined) return undefined
  const value = Number(digits)
  if (value < minimum || value > maximum) throw new SettingError(name, 'invalid', hintFor(name, expected))
  return value
}

/** The variable's value; undefined if it is unset or empty. */
function text(env: Environment, name: string, pattern: RegExp, expected: string): string | undefined {
  const value = env[name] || undefined
  if (value !== undefined && !pattern.test(value)) throw new SettingError(name, 'invalid', hintFor(name, expected))
  return value
}

function listOf(value: string | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function problemOf(env: Environment, name: string): 'missing' | 'invalid' {
  return env[name] ? 'invalid' : 'missing'
}

function hintFor(name: string, expected: string): string {
  return `set ${name} to ${expected}`
}
