// What must be there before a release is made. All of it is checked first: the release itself takes minutes.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { RELEASE_VERSION } from '../../src/update/manifest.ts'
import { UPDATE_KEY_FILE, updateKey } from '../bundle.ts'
import type { Target } from './targets.ts'

/** The key that programs in use have, while a release brings the next one (docs/packaging.md). */
export const PREVIOUS_KEY_FILE = 'scripts/package/update-key.previous.pem'

/** A reason why no release can be made, and what to do. */
export class NotReleasable extends Error {
  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message)
  }
}

const TOOLS = {
  rpmbuild: { debian: 'rpm', os: 'linux' },
  'dpkg-deb': { debian: 'dpkg', os: 'linux' },
  makensis: { debian: 'nsis', os: 'win32' },
  bsdtar: { debian: 'libarchive-tools', os: 'win32' },
} as const

/** @throws {NotReleasable} if installed programs would not accept the version */
export function requireReleaseVersion(version: string): void {
  if (RELEASE_VERSION.test(version)) return
  throw new NotReleasable(
    `${version} is not the version of a release: programs update to versions such as 1.2.3 only`,
    'set such a version; npm run package makes executables of this one',
  )
}

/** @throws {NotReleasable} if a tool that the targets need is not installed */
export function requireTools(targets: readonly Target[], path = process.env.PATH): void {
  const missing = Object.entries(TOOLS).filter(
    ([name, { os }]) =>
      targets.some((target) => target.os === os) &&
      spawnSync(name, ['--version'], { stdio: 'ignore', env: { PATH: path } }).error !== undefined,
  )
  if (missing.length === 0) return
  const packages = missing.map(([, { debian }]) => debian).join(' ')
  throw new NotReleasable(
    `not installed: ${missing.map(([name]) => name).join(', ')}`,
    `sudo apt-get install ${packages}`,
  )
}

/**
 * The public key that must verify `update.json`: that of the programs in use.
 * @throws {NotReleasable} if no key is committed, or the next one is the same
 */
export function keyOfPrograms(file = UPDATE_KEY_FILE, previous = PREVIOUS_KEY_FILE): string {
  const key = updateKey(file)
  if (key === '') {
    const hint = 'make a pair of keys and commit the public one (docs/packaging.md), or use --dry-run'
    throw new NotReleasable(`there is no ${file}`, hint)
  }
  if (!existsSync(previous)) return key
  if (updateKey(previous) === key)
    throw new NotReleasable(`${previous} and ${file} are the same key`, `git rm ${previous}`)
  return updateKey(previous)
}
