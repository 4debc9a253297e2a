// `cadzero-auth config`: prints the effective configuration and the path of its file, as JSON.
import { type Config, loadConfig } from '../config/config.ts'
import { ConfigurationError } from '../config/errors.ts'
import type { Profile } from '../config/profile.ts'
import type { CommonOptions, Context } from './context.ts'
import { unknownProfile } from './failure.ts'
import { printJson } from './terminal.ts'

/** @throws UsageError, ConfigurationError */
export async function config({ host, folders }: Context, options: CommonOptions): Promise<void> {
  const { profiles, ...settings } = await loadConfig(host.files, folders.configFile, process.env)
  printJson({ file: folders.configFile, ...settings, profiles: showProfiles(profiles, options.profile) })
}

function showProfiles(profiles: Config['profiles'], wanted: string | undefined): Record<string, object> {
  const entries = [...profiles].filter(([name]) => wanted === undefined || name === wanted)
  if (entries.length === 0) throw unknownProfile(profiles.keys())
  return Object.fromEntries(entries.map(([name, profile]) => [name, showProfile(profile)]))
}

function showProfile(profile: Profile | ConfigurationError): object {
  if (profile instanceof ConfigurationError) return { error: { setting: profile.setting, expected: profile.expected } }
  const { name: _, ...settings } = profile
  return settings
}
