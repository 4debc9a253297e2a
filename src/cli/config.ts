// `cadzero-auth config`: what the configuration comes to, and where it is from.
import { loadConfig } from '../config/config.ts'
import type { CommonOptions, Context } from './context.ts'
import { UsageError } from './failure.ts'
import { print, printJson } from './terminal.ts'

export async function config({ host, folders }: Context, options: CommonOptions): Promise<void> {
  const { profiles, ...settings } = await loadConfig(host.files, folders.configFile, process.env)
  const chosen = options.profile === undefined ? [...profiles.values()] : [profiles.get(options.profile)]
  if (chosen.includes(undefined)) {
    throw new UsageError('no such profile', `one of ${[...profiles.keys()].join(', ')}`)
  }
  const shown = Object.fromEntries(chosen.flatMap((profile) => (profile ? [[profile.name, withoutName(profile)]] : [])))
  if (options.json) return printJson({ file: folders.configFile, ...settings, profiles: shown })
  print(`# ${folders.configFile}, environment variables and defaults together`)
  printJson({ ...settings, profiles: shown })
}

function withoutName<T extends { readonly name: string }>({ name: _, ...rest }: T): Omit<T, 'name'> {
  return rest
}
