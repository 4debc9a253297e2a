// The broker's configuration: environment variables alone, as servers have it, each checked and none of them ever quoted.
import { isSafeUrl } from '../host/network.ts'
import type { BrokerOptions } from './broker.ts'

/** A variable is missing or wrong. Its value is left out: it may be a secret. */
export class SettingError extends Error {
  constructor(
    readonly variable: string,
    readonly expected: string,
  ) {
    super(`${variable} is missing or wrong`)
    this.name = 'SettingError'
  }
}

export interface BrokerSettings {
  readonly options: Omit<BrokerOptions, 'log' | 'clock'>
  readonly host: string
  readonly port: number
}

const KEY_BYTES = 32

/** @throws SettingError */
export function readSettings(env: NodeJS.ProcessEnv): BrokerSettings {
  const secretKey = matching(
    env,
    'CLERK_SECRET_KEY',
    /^sk_(test|live)_\S+$/,
    'the secret key of the Clerk instance (sk_test_… or sk_live_…)',
  )
  const issuers = list(env.CADZERO_BROKER_INSTANCES)
  if (issuers.length === 0 || !issuers.every(isSafeUrl)) {
    throw new SettingError(
      'CADZERO_BROKER_INSTANCES',
      'the Frontend API URLs of the instances whose tokens are taken, with commas between them',
    )
  }
  const apiUrl = env.CLERK_API_URL || undefined
  if (apiUrl !== undefined && !isSafeUrl(apiUrl))
    throw new SettingError('CLERK_API_URL', 'an https URL, or http on loopback; leave it out for Clerk’s own')
  const template = optional(env, 'CADZERO_BROKER_TEMPLATE', /^[\w.-]{1,128}$/, 'the name of a JWT template')
  const tokenSeconds = number(env, 'CADZERO_BROKER_TOKEN_SECONDS', 30, 315_360_000)
  const jwtKey = env.CLERK_JWT_KEY || undefined
  if (jwtKey !== undefined && !jwtKey.includes('BEGIN PUBLIC KEY'))
    throw new SettingError('CLERK_JWT_KEY', 'the public key of the instance as PEM')
  const options = {
    secretKey,
    issuers,
    keys: keys(env.CADZERO_BROKER_KEY),
    authorizedParties: list(env.CADZERO_BROKER_AUTHORIZED_PARTIES),
  }
  return {
    options: {
      ...options,
      ...(apiUrl === undefined ? {} : { apiUrl }),
      ...(jwtKey === undefined ? {} : { jwtKey }),
      ...(template === undefined ? {} : { template }),
      ...(tokenSeconds === undefined ? {} : { tokenSeconds }),
    },
    host: env.CADZERO_BROKER_HOST || '127.0.0.1',
    port: number(env, 'CADZERO_BROKER_PORT', 0, 65_535) ?? 8787,
  }
}

function keys(text: string | undefined): Uint8Array[] {
  const decoded = list(text).map((key) => (/^[\w-]{43}$/.test(key) ? Buffer.from(key, 'base64url') : Buffer.alloc(0)))
  if (decoded.length > 0 && decoded.every(({ length }) => length === KEY_BYTES)) return decoded
  const expected =
    '32 random bytes as base64url; cadzero-auth broker --generate-key makes one. Several with commas: the first seals, all open'
  throw new SettingError('CADZERO_BROKER_KEY', expected)
}

function matching(env: NodeJS.ProcessEnv, name: string, pattern: RegExp, expected: string): string {
  const value = optional(env, name, pattern, expected)
  if (value === undefined) throw new SettingError(name, expected)
  return value
}

function optional(env: NodeJS.ProcessEnv, name: string, pattern: RegExp, expected: string): string | undefined {
  const value = env[name] || undefined
  if (value !== undefined && !pattern.test(value)) throw new SettingError(name, expected)
  return value
}

function number(env: NodeJS.ProcessEnv, name: string, least: number, most: number): number | undefined {
  const text = optional(env, name, /^\d{1,9}$/, `a whole number from ${least} to ${most}`)
  if (text === undefined) return undefined
  const value = Number(text)
  if (value < least || value > most) throw new SettingError(name, `a whole number from ${least} to ${most}`)
  return value
}

function list(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
