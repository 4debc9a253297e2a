// The version of this program, from package.json, and the commit that it was built from.
import manifest from '../../package.json' with { type: 'json' }

declare const BUILT_FROM: string | undefined // defined by the build; empty if it ran without git
declare const BUILT_FROM_TIME: string | undefined

export const version: string = manifest.version

/** The short commit that the program was built from; null if it is not known. */
export const commit: string | null = typeof BUILT_FROM === 'string' && BUILT_FROM !== '' ? BUILT_FROM : null

/** `1.0.0 (abc1234)`. */
export const versionWithCommit: string = commit === null ? version : `${version} (${commit})`

/** When that commit was made (RFC 3339, UTC): which of two builds of one version is newer; null if it is not known. */
export const commitTime: string | null =
  typeof BUILT_FROM_TIME === 'string' && BUILT_FROM_TIME !== '' ? BUILT_FROM_TIME : null
