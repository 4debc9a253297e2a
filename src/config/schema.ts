// The schema of config.json. The message of each check says what the setting should be; the error adds the name.
import { isAbsolute } from 'node:path'
import * as v from 'valibot'
import { isSafeUrl } from '../host/network.ts'
import { parseProxy } from '../host/proxy.ts'
import { ConfigurationError } from './errors.ts'
import { issuerOf } from './publishable-key.ts'

const URL_RULE = 'an https URL, or http on loopback (127.0.0.1, localhost), without a query or a user'
export const ISSUER_RULE = `${URL_RULE}, exactly as the provider's metadata gives it`
const PORT_RULE = 'a port: a whole number from 1024 to 65535, or 0 for any free port'
const PROFILE_NAME_RULE =
  'a profile name (and not constructor): a small letter or digit, then small letters, digits, - or _, 32 at most'
const SCOPES_RULE = 'a list of scopes that includes openid'
const KEY_RULE = 'a Clerk publishable key (pk_test_… or pk_live_…)'
const TEXT_RULE = 'a text without spaces'
const PROXY_RULE =
  'auto, none, or the URL of a proxy as http://host:port or http://user@host:port, without a password: cadzero-auth config proxy-password saves it in the keyring'
const CA_FILE_RULE = 'the absolute path of a file with certificates as PEM, or with one as DER'
const BOOLEAN_RULE = 'true or false'
const UPDATE_RULE = `${URL_RULE}: the address of update.json`
const PROFILES_RULE = 'an object of profiles'

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
const PROTECTIONS = ['auto', 'keyring', 'keyfile', 'passphrase'] as const

const url = (rule: string) => v.pipe(v.string(rule), v.check(isSafeUrl, rule))
const port = v.pipe(
  v.number(PORT_RULE),
  v.integer(PORT_RULE),
  v.check((n) => n === 0 || (n >= 1024 && n <= 65535), PORT_RULE),
)
const profileName = v.pipe(v.string(PROFILE_NAME_RULE), v.regex(/^[a-z0-9][a-z0-9_-]{0,31}$/, PROFILE_NAME_RULE))
const list = (rule: string) => v.array(v.pipe(v.string(rule), v.regex(/^\S+$/, rule)), rule)

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
  requireState: v.optional(v.boolean(BOOLEAN_RULE)),
  tokenInCallback: v.optional(v.boolean(BOOLEAN_RULE)),
  refresh: v.optional(v.boolean(BOOLEAN_RULE)),
})

const configSchema = v.strictObject({
  defaultProfile: v.optional(profileName, 'production'),
  port: v.optional(port, 0),
  logLevel: v.optional(v.picklist(LEVELS, `one of ${LEVELS.join(', ')}`), 'info'),
  keyProtection: v.optional(v.picklist(PROTECTIONS, `one of ${PROTECTIONS.join(', ')}`), 'auto'),
  proxy: v.optional(v.pipe(v.string(PROXY_RULE), v.check(isProxySetting, PROXY_RULE)), 'auto'),
  caFile: v.optional(v.pipe(v.string(CA_FILE_RULE), v.check(isAbsolute, CA_FILE_RULE))),
  updateUrl: v.optional(url(UPDATE_RULE)),
  profiles: v.optional(
    v.pipe(
      v.unknown(),
      v.check((value) => !Array.isArray(value), PROFILES_RULE), // v.record accepts an empty array
      v.record(profileName, profileSchema, PROFILES_RULE),
    ),
    {},
  ),
})

/** A password belongs into the keyring or the environment: this file is shown, copied and backed up. */
function isProxySetting(text: string): boolean {
  if (text === 'auto' || text === 'none') return true
  return /^https?:\/\/(?:[^/?#@:]+@)?[^/?#@]+\/?$/i.test(text) && parseProxy(text) !== undefined
}

/** The settings of one profile, as the configuration file gives them. */
export type ProfileSettings = Readonly<v.InferOutput<typeof profileSchema>>
/** The settings of the configuration file, with defaults. */
export type Settings = v.InferOutput<typeof configSchema>

/** The origin of settings, as an error names it: a file, or the environment variable of each setting. */
export type Source = { readonly file: string } | { readonly variables: Readonly<Record<string, string>> }

/** @throws ConfigurationError that names the setting and what it should be */
export function parseSettings(value: unknown, source: Source): Settings {
  const file = 'file' in source ? source.file : undefined
  const parsed = v.safeParse(configSchema, value)
  if (!parsed.success) {
    const [issue] = parsed.issues
    const keys = (issue.path ?? []).map((item) => String(item.key))
    throw new ConfigurationError(nameOf(keys, source), expectation(issue), file)
  }
  // v.record drops names that every object has, such as `constructor`, without an issue.
  const given = Object.keys((value as { profiles?: object }).profiles ?? {})
  const dropped = given.find((name) => !Object.hasOwn(parsed.output.profiles, name))
  if (dropped !== undefined) throw new ConfigurationError(`profiles.${dropped}`, PROFILE_NAME_RULE, file)
  return parsed.output
}

function nameOf(keys: readonly string[], source: Source): string {
  const name = keys.join('.') || 'the file'
  if ('file' in source) return name
  const setting = keys[0] === 'profiles' ? keys[2] : keys[0] // as in profiles.production.issuer
  return source.variables[setting ?? ''] ?? name
}

function expectation(issue: v.BaseIssue<unknown>): string {
  if (issue.type !== 'strict_object') return issue.message
  return issue.expected === 'never' ? 'left out: no such setting is known' : 'an object of settings'
}
