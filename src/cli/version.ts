// The version of this program, from package.json, and the commit that it was built from.
import manifest from '../../package.json' with { type: 'json' }

declare const BUILT_FROM: string | undefined // defined by the build; empty if it ran without git

export const version: string = manifest.version

/** `1.0.0 (abc1234)`. */
export const versionWithCommit: string =
  typeof BUILT_FROM === 'string' && BUILT_FROM !== '' ? `${version} (${BUILT_FROM})` : version
