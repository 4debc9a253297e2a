// The doctor's check of the configuration: it can be read, the profile exists, and the profile has a sign-in method.
import { type Config, loadConfig } from '../../config/config.ts'
import { ConfigurationError } from '../../config/errors.ts'
import type { Profile } from '../../config/profile.ts'
import { systemProxyPassword } from '../../store/proxy-password.ts'
import type { Context } from '../context.ts'
import { unknownProfile } from '../failure.ts'
import { type Finding, findingOf } from './finding.ts'

export interface CheckedConfiguration {
  readonly finding: Finding
  /** Undefined if it cannot be read. */
  readonly config?: Config
  /** Undefined if it does not exist, or has no sign-in method. */
  readonly profile?: Profile
}

/** @param name the profile; undefined for the default profile @throws UsageError if there is no such profile */
export async function checkConfiguration(
  { host, folders }: Context,
  name: string | undefined,
): Promise<CheckedConfiguration> {
  const check = 'configuration'
  try {
    const config = await loadConfig(host.files, folders.configFile, process.env)
    // The doctor's own requests go the way of the daemon's.
    host.network.configure({ ...config, proxyPassword: (proxy) => systemProxyPassword(host.clock).read(proxy) })
    const wanted = name ?? config.defaultProfile
    const profile = config.profiles.get(wanted)
    if (!profile) throw unknownProfile(config.profiles.keys())
    if (profile instanceof ConfigurationError) {
      const hint = `set profiles.${wanted}.clientId (OAuth) or profiles.${wanted}.signInUrl (hand-off) in ${folders.configFile}`
      const found = `profile ${wanted} has no sign-in method configured`
      return { config, finding: { check, verdict: 'failed', found, hint } }
    }
    return { config, profile, finding: { check, verdict: 'ok', found: `profile ${wanted}, issuer ${profile.issuer}` } }
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    return { finding: findingOf(check, error) }
  }
}
