// Tells whether a file in our folders is really one of this installation, before an uninstallation removes it by its name.

import type { Folders } from '../config/paths.ts'
import { parseSettings } from '../config/schema.ts'
import { readSettingsFile } from '../host/files.ts'
import type { Host } from '../host/host.ts'
import { loadInstallation } from '../store/installation.ts'
import { sessionHeaderOf } from '../store/session-file.ts'

/** Why a file stays: another program may have put it there, or another installation still uses it. */
export type StayReason = 'not_ours' | 'other_installation'

/** @returns why the file stays; undefined if it is a file of this installation */
export type Judge = (path: string) => Promise<StayReason | undefined>

const LARGEST_CONFIG = 1024 * 1024

/** Judges session files: what is no envelope of a session is not ours, whatever its name is. */
export async function sessionFileJudge({ files, random, name }: Host, { data }: Folders): Promise<Judge> {
  const own = await loadInstallation({ files, random, dataFolder: data, hostName: name }).catch(() => undefined)
  return async (path) => {
    const header = await sessionHeaderOf(files, path)
    if (header === undefined) return 'not_ours'
    // Version 1.0 named no installation.
    return header.installation === undefined || header.installation === own?.id ? undefined : 'other_installation'
  }
}

/** Judges a configuration file: one that we would refuse to read is not known to be ours. */
export function configFileJudge({ files }: Host): Judge {
  return async (path) => {
    try {
      const text = (await readSettingsFile(files, path, LARGEST_CONFIG))?.toString('utf8') ?? ''
      parseSettings(JSON.parse(text.replace(/^\uFEFF/, '')), { file: path })
      return undefined
    } catch {
      return 'not_ours'
    }
  }
}
