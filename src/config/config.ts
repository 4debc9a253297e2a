// The effective configuration: environment variables override config.json, which overrides the built-in profiles.
import { type CaFileProblem, checkCaFile } from '../host/ca-file.ts'
import { FileError, type FileProblem, type FileSystem, readSettingsFile } from '../host/files.ts'
import { BUILT_IN_PROFILES } from './built-in-profiles.ts'
import { daemonVariables, profileVariables, VARIABLES } from './environment.ts'
import { ConfigurationError } from './errors.ts'
import { type Profile, parseProfile } from './profile.ts'
import { parseSettings, type Settings } from './schema.ts'

export interface Config extends Readonly<Omit<Settings, 'profiles'>> {
  /** Every profile by its name; an error in place of one without a sign-in method. */
  readonly profiles: ReadonlyMap<string, Profile | ConfigurationError>
}

/** @throws ConfigurationError that names the file, the setting and what it should be */
export async function loadConfig(files: FileSystem, path: string, env: NodeJS.ProcessEnv): Promise<Config> {
  const written = parseSettings(await readJson(files, path), { file: path })
  const settings = parseSettings({ ...written, ...daemonVariables(env) }, { variables: VARIABLES })
  const { defaultProfile, caFile } = settings
  await requireCaFile(files, caFile, path)
  const overrides = parseSettings({ profiles: { [defaultProfile]: profileVariables(env) } }, { variables: VARIABLES })
  const names = new Set([...Object.keys(BUILT_IN_PROFILES), ...Object.keys(written.profiles)])
  if (!names.has(defaultProfile) && overrides.profiles[defaultProfile]?.issuer === undefined) {
    const isVariable = daemonVariables(env).defaultProfile !== undefined
    const setting = isVariable ? 'CADZERO_AUTH_PROFILE' : 'defaultProfile'
    throw new ConfigurationError(setting, `one of ${[...names].join(', ')}`, isVariable ? undefined : path)
  }
  names.add(defaultProfile)
  const profiles = new Map<string, Profile | ConfigurationError>()
  for (const name of names) {
    const given = { ...written.profiles[name], ...(name === defaultProfile ? overrides.profiles[name] : {}) }
    profiles.set(name, parseProfile(name, given, path))
  }
  return { ...settings, profiles }
}

/** The profile of this name, or the default one. @throws ConfigurationError if there is none, or none that can sign in */
export function findProfile({ profiles, defaultProfile }: Config, name = defaultProfile): Profile {
  const profile = profiles.get(name)
  if (!profile) throw new ConfigurationError('profile', `one of ${[...profiles.keys()].join(', ')}`)
  if (profile instanceof ConfigurationError) throw profile
  return profile
}

const CA_FILE_RULES: Readonly<Record<CaFileProblem, string>> = {
  missing: 'a file that exists',
  unreadable: 'a file that you may read',
  not_regular: 'a regular file of at most 8 MiB',
  foreign_owner: 'a file that belongs to you or to the administrator',
  too_open: 'a file that only its owner can write (chmod go-w)',
  no_certificate: 'a file with certificates as PEM, or with one as DER',
}

/** Checked at the start, so that a wrong path is an error of the configuration and not of the network. */
async function requireCaFile(files: FileSystem, caFile: string | undefined, file: string): Promise<void> {
  const problem = caFile === undefined ? undefined : await checkCaFile(files, caFile)
  if (problem !== undefined) throw new ConfigurationError('caFile', CA_FILE_RULES[problem], file)
}

async function readJson(files: FileSystem, path: string): Promise<object> {
  const text = await readText(files, path)
  if (text === undefined) return {}
  let value: unknown
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, '')) // some Windows editors write a byte order mark
  } catch {
    throw new ConfigurationError('the file', 'JSON; look for a missing comma or quotation mark', path)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new ConfigurationError('the file', 'an object of settings', path)
}

const MAX_FILE_BYTES = 1024 * 1024

async function readText(files: FileSystem, path: string): Promise<string | undefined> {
  try {
    return (await readSettingsFile(files, path, MAX_FILE_BYTES))?.toString('utf8')
  } catch (error) {
    const expected = error instanceof FileError ? EXPECTED_FILE[error.code] : undefined
    throw new ConfigurationError('the file', expected ?? 'a file that you may read', path)
  }
}

const EXPECTED_FILE: Partial<Record<FileProblem, string>> = {
  not_regular: 'a regular file, not a pipe, a folder or a device',
  foreign_owner: 'a file of your own; it belongs to another user',
  too_large: 'smaller than a megabyte',
  unsafe_link: 'a file, or a link that no other user can change',
  broken_link: 'a file; it is a link that leads nowhere',
}
