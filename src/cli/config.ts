// `cadzero-auth config`: prints the effective configuration and the path of its file.
import { type Config, loadConfig } from '../config/config.ts'
import { ConfigurationError } from '../config/errors.ts'
import type { Profile } from '../config/profile.ts'
import type { CommonOptions, Context } from './context.ts'
import { UsageError } from './failure.ts'
import { print, printJson } from './terminal.ts'

/** @throws UsageError, ConfigurationError */
export async function config({ host, folders }: Context, options: CommonOptions): Promise<void> {
  const { profiles, ...settings } = await loadConfig(host.files, folders.configFile, process.env)
  const shown = showProfiles(profiles, options.profile)
  if (options.json) return printJson({ file: folders.configFile, ...settings, profiles: shown })
  print(`# the effective configuration: ${folders.configFile}, environment variables and defaults`)
  printJson({ ...settings, profiles: shown })
}

function showProfiles(profiles: Config['profiles'], wanted: string | undefined): Record<string, object> {
  const entries = [...profiles].filter(([name]) => wanted === undefined || name === wanted)
  if (entries.length === 0) throw new UsageError('no such profile', `use one of ${[...profiles.keys()].join(', ')}`)
  return Object.fromEntries(entries.map(([name, profile]) => [name, showProfile(profile)]))
}

function showProfile(profile: Profile | ConfigurationError): object {
  if (profile instanceof ConfigurationError) return { error: { setting: profile.setting, expected: profile.expected } }
  const { name: _, ...settings } = profile
  return settings
}
