// `cadzero-auth version`: which build this is, also as JSON, so that an installer can tell which of two is newer.
import { print, printJson } from './terminal.ts'
import { commit, commitTime, version, versionWithCommit } from './version.ts'

export interface VersionOptions {
  readonly json?: boolean
}

export function showVersion({ json }: VersionOptions): void {
  if (json) printJson({ version, commit, commitTime })
  else print(versionWithCommit)
}
