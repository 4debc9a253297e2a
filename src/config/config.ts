// The configuration: built-in profiles, config.json over them, environment variables over that. All of it is checked.
import * as v from 'valibot'
import { errorCode, type FileSystem } from '../host/files.ts'
import { isSafeUrl } from '../host/network.ts'
import { BUILT_IN_PROFILES, type ProfileSettings } from './built-in-profiles.ts'
import { ConfigurationError } from './errors.ts'

/** One Clerk instance and backend, ready to be used. */
export interface Profile {
  readonly name: string
  readonly issuer: string
  /** Null where people sign in by hand-off. */
  readonly clientId: string | null
  readonly scopes: readonly string[]
  readonly redirectPort: number
  readonly signInUrl: string | undefined
  readonly brokerUrl: string | undefined
  readonly authorizedParties: readonly string[]
  readonly requireState: boolean
  /** False: nothing is refreshed, and a session ends with its token. */
  readonly refresh: boolean
}

export interface Config {
  readonly defaultProfile: string
  readonly port: number
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  readonly keyProtection: 'auto' | 'keyring' | 'keyfile' | 'passphrase'
  readonly profiles: ReadonlyMap<string, Profile>
}

const PAGE_PORT = 8765 // where the page of CADZERO's web app comes back to
const DEFAULT_SCOPES = ['openid', 'profile', 'email', 'offline_access']

// The message of each check is what the setting should be: an error names the setting and says that.
const URL_RULE = 'an https URL, or http on loopback (127.0.0.1, localhost), without a query or a user'
const ISSUER_RULE = `${URL_RULE}, exactly as the provider's metadata gives it`
const PORT_RULE = 'a port: a whole number from 1024 to 65535, or 0 for any that is free'
const PROFILE_NAME_RULE =
  'a profile name (and not constructor): a small letter or digit, then small letters, digits, - or _, 32 at most'

const url = (rule: string) => v.pipe(v.string(rule), v.check(isSafeUrl, rule))
const port = v.pipe(
  v.number(PORT_RULE),
  v.integer(PORT_RULE),
  v.check((n) => n === 0 || (n >= 1024 && n <= 65535), PORT_RULE),
)
const profileName = v.pipe(v.string(PROFILE_NAME_RULE), v.regex(/^[a-z0-9][a-z0-9_-]{0,31}$/, PROFILE_NAME_RULE))
const list = (rule: string) => v.array(v.pipe(v.string(rule), v.regex(/^\S+$/, rule)), rule)
const SCOPES_RULE = 'a list of scopes that has openid in it'
const KEY_RULE = 'a Clerk publishable key (pk_test_… or pk_live_…)'
const TEXT_RULE = 'a text without spaces'
const PROFILES_RULE = 'an object of profiles'

const profileSchema = v.strictObject({
  issuer: v.optional(url(ISSUER_RULE)),
  publishableKey: v.optional(
    v.pipe(
      v.string(KEY_RULE),
      v.check((key) => issuerOf(key) !== undefined, KEY_RULE),
    ),
  ),
  clientId: v.optional(v.pipe(v.string(TEXT_RULE), v.regex(/^\S{1,256}$/, TEXT_RULE))),
  scopes: v.optional(
    v.pipe(
      list(SCOPES_RULE),
      v.check((scopes) => scopes.includes('openid'), SCOPES_RULE),
    ),
  ),
  redirectPort: v.optional(port),
  signInUrl: v.optional(url(URL_RULE)),
  brokerUrl: v.optional(url(URL_RULE)),
  authorizedParties: v.optional(list('a list of origins')),
  requireState: v.optional(v.boolean('true or false')),
  refresh: v.optional(v.boolean('true or false')),
})

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
const PROTECTIONS = ['auto', 'keyring', 'keyfile', 'passphrase'] as const

const configSchema = v.strictObject({
  defaultProfile: v.optional(profileName, 'production'),
  port: v.optional(port, 0),
  logLevel: v.optional(v.picklist(LEVELS, `one of ${LEVELS.join(', ')}`), 'info'),
  keyProtection: v.optional(v.picklist(PROTECTIONS, `one of ${PROTECTIONS.join(', ')}`), 'auto'),
  profiles: v.optional(
    v.pipe(
      v.unknown(),
      v.check((value) => !Array.isArray(value), PROFILES_RULE), // a record takes an empty one
      v.record(profileName, profileSchema, PROFILES_RULE),
    ),
    {},
  ),
})

type ConfigFile = v.InferOutput<typeof configSchema>

/** @throws ConfigurationError that names the file, the setting and what it should be */
export async function loadConfig(files: FileSystem, path: string, env: NodeJS.ProcessEnv): Promise<Config> {
  const written = check(await readJson(files, path), path)
  const settings = check({ ...written, ...daemonVariables(env) }, undefined, VARIABLES)
  const defaultProfile = settings.defaultProfile
  const overrides = check({ profiles: { [defaultProfile]: profileVariables(env) } }, undefined, VARIABLES)
  const names = new Set([...Object.keys(BUILT_IN_PROFILES), ...Object.keys(written.profiles)])
  if (!names.has(defaultProfile) && overrides.profiles[defaultProfile]?.issuer === undefined) {
    const isVariable = daemonVariables(env).defaultProfile !== undefined
    const setting = isVariable ? 'CADZERO_AUTH_PROFILE' : 'defaultProfile'
    throw new ConfigurationError(setting, `one of ${[...names].join(', ')}`, isVariable ? undefined : path)
  }
  names.add(defaultProfile)
  const profiles = new Map<string, Profile>()
  for (const name of names) {
    const given = { ...written.profiles[name], ...(name === defaultProfile ? overrides.profiles[name] : {}) }
    profiles.set(name, complete(name, given, path))
  }
  return { ...settings, profiles }
}

function complete(name: string, given: ProfileSettings, path: string): Profile {
  const settings = { ...inherited(name, given), ...given }
  const issuer = settings.issuer ?? issuerOf(settings.publishableKey ?? '')
  if (issuer === undefined) throw new ConfigurationError(`profiles.${name}.issuer`, ISSUER_RULE, path)
  if (settings.refresh === false && settings.clientId !== undefined) {
    throw new ConfigurationError(
      `profiles.${name}.refresh`,
      'left out: with a clientId there is always a refresh',
      path,
    )
  }
  return {
    name,
    issuer,
    clientId: settings.clientId ?? null,
    scopes: settings.scopes ?? DEFAULT_SCOPES,
    redirectPort: settings.redirectPort ?? (settings.clientId === undefined ? PAGE_PORT : 0),
    signInUrl: settings.signInUrl,
    brokerUrl: settings.brokerUrl,
    authorizedParties: settings.authorizedParties ?? [],
    requireState: settings.requireState ?? true,
    refresh: settings.refresh ?? true,
  }
}

/**
 * What a built-in profile lends: not the pages of one Clerk instance to another, nor the hand-off's page to OAuth, nor
 * that page's lack of a state to another page.
 */
function inherited(name: string, given: ProfileSettings): ProfileSettings {
  const builtIn = BUILT_IN_PROFILES[name] ?? {}
  if (given.issuer !== undefined || given.publishableKey !== undefined) return {}
  if (given.clientId !== undefined) return { ...builtIn, signInUrl: undefined, requireState: undefined }
  return given.signInUrl === undefined ? builtIn : { ...builtIn, requireState: undefined }
}

async function readJson(files: FileSystem, path: string): Promise<object> {
  let text: string
  try {
    text = (await files.readFile(path, 'utf8')).replace(/^\uFEFF/, '') // Windows editors begin a file with a BOM
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return {}
    throw new ConfigurationError('the file', 'a file that you may read', path)
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new ConfigurationError('the file', 'JSON; look for a missing comma or quotation mark', path)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new ConfigurationError('the file', 'an object of settings', path)
}

function check(value: unknown, path: string | undefined, names: Readonly<Record<string, string>> = {}): ConfigFile {
  const parsed = v.safeParse(configSchema, value)
  if (parsed.success) {
    // valibot passes over the names that every object has, without a word.
    const given = Object.keys((value as { profiles?: object }).profiles ?? {})
    const lost = given.find((name) => !Object.hasOwn(parsed.output.profiles, name))
    if (lost !== undefined) throw new ConfigurationError(`profiles.${lost}`, PROFILE_NAME_RULE, path)
    return parsed.output
  }
  const [issue] = parsed.issues
  const keys = (issue.path ?? []).map((item) => String(item.key))
  const setting = keys.join('.') || 'the file'
  const variable = names[keys[0] === 'profiles' ? (keys[2] ?? '') : (keys[0] ?? '')]
  throw new ConfigurationError(path === undefined ? (variable ?? setting) : setting, expectation(issue), path)
}

function expectation(issue: v.BaseIssue<unknown>): string {
  if (issue.type !== 'strict_object') return issue.message
  return issue.expected === 'never' ? 'left out: no such setting is known' : 'an object of settings'
}

const VARIABLES: Readonly<Record<string, string>> = {
  defaultProfile: 'CADZERO_AUTH_PROFILE',
  port: 'CADZERO_AUTH_PORT',
  logLevel: 'CADZERO_AUTH_LOG_LEVEL',
  keyProtection: 'CADZERO_AUTH_KEY_PROTECTION',
  issuer: 'CADZERO_AUTH_ISSUER',
  clientId: 'CADZERO_AUTH_CLIENT_ID',
  scopes: 'CADZERO_AUTH_SCOPES',
  redirectPort: 'CADZERO_AUTH_REDIRECT_PORT',
  signInUrl: 'CADZERO_AUTH_SIGN_IN_URL',
  brokerUrl: 'CADZERO_AUTH_BROKER_URL',
}

function daemonVariables(env: NodeJS.ProcessEnv): Record<string, unknown> {
  return given({
    defaultProfile: env.CADZERO_AUTH_PROFILE,
    port: number(env.CADZERO_AUTH_PORT),
    logLevel: env.CADZERO_AUTH_LOG_LEVEL,
    keyProtection: env.CADZERO_AUTH_KEY_PROTECTION,
  })
}

function profileVariables(env: NodeJS.ProcessEnv): Record<string, unknown> {
  return given({
    issuer: env.CADZERO_AUTH_ISSUER,
    clientId: env.CADZERO_AUTH_CLIENT_ID,
    scopes: env.CADZERO_AUTH_SCOPES?.split(/[\s,]+/).filter((scope) => scope !== ''),
    redirectPort: number(env.CADZERO_AUTH_REDIRECT_PORT),
    signInUrl: env.CADZERO_AUTH_SIGN_IN_URL,
    brokerUrl: env.CADZERO_AUTH_BROKER_URL,
  })
}

/** An empty variable counts as not set, as shells and service files have it. */
function given(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== ''))
}

function number(text: string | undefined): unknown {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : text
}

/** Clerk's publishable key is `pk_test_` or `pk_live_` and the Frontend API's host with a `$`, in base64. */
function issuerOf(publishableKey: string): string | undefined {
  const [, encoded] = /^pk_(?:test|live)_([A-Za-z0-9+/_-]+={0,2})$/.exec(publishableKey) ?? []
  const [, host] = /^([a-z0-9.-]+)\$$/.exec(Buffer.from(encoded ?? '', 'base64').toString('latin1')) ?? []
  return host === undefined ? undefined : `https://${host}`
}
