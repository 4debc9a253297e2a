// What must be there before a release is made. All of it is checked first: the release itself takes minutes.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { RELEASE_VERSION } from '../../src/update/manifest.ts'
import { UPDATE_KEY_FILE, updateKey } from '../bundle.ts'
import type { Target } from './targets.ts'
import { VALID_SECONDS } from './update.ts'

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

/** Ends the process with what a NotReleasable says. @throws the error if it is another one */
export function endWithHint(error: unknown): never {
  if (!(error instanceof NotReleasable)) throw error
  process.stderr.write(`error: ${error.message}\nhint: ${error.hint}\n`)
  process.exit(1)
}

/** @throws {NotReleasable} if manifests with this address would lead nowhere */
export function requireBaseUrl(url: string): void {
  if (/^https:\/\/[\w.-]+(:\d+)?(\/[\w.~%+-]*)*$/.test(url)) return
  throw new NotReleasable('--base-url is no plain address that begins with https', 'name the folder of the files')
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

const CLOCK_TOLERANCE = 3600 // s; the clocks of two computers differ by less

/**
 * The time of the commit is the sequence number of the release. Programs that were built from a time in the future would refuse all
 * releases until then.
 * @param time of the commit, in Unix seconds
 * @throws {NotReleasable} if it is in the future, or so long ago that the release has expired
 */
export function requireTime(time: number, now = Date.now() / 1000): void {
  const date = new Date(time * 1000).toISOString()
  if (time > now + CLOCK_TOLERANCE)
    throw new NotReleasable(
      `the commit is of ${date}, which is in the future: programs would refuse this release and those after it`,
      'set the clock of this computer, or make the commit again with the right time',
    )
  if (time + VALID_SECONDS <= now)
    throw new NotReleasable(`the commit is of ${date}: the release would have expired`, 'make a newer commit')
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
