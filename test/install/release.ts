// The files of the releases that the tests of this folder try: this one and the next. `npm run test:install` makes them.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import manifest from '../../package.json' with { type: 'json' }

const FOLDER = process.env.CADZERO_AUTH_RELEASE ?? fileURLToPath(new URL('../../dist-release/test', import.meta.url))

export const { version } = manifest

/** The version of the next release, which next-release.ts makes. */
export const nextVersion = version.replace(/\d+$/, (patch) => String(Number(patch) + 1))

/** @throws an error if the release has no such file */
export function releaseFile(name: string): string {
  return existing(join(FOLDER, name))
}

/** @throws an error if the next release has no such file */
export function nextReleaseFile(name: string): string {
  return existing(join(`${FOLDER}-next`, name))
}

/** Whether next-release.ts has made it: the short form of the tests for Windows does without. */
export const hasNextRelease = existsSync(`${FOLDER}-next`)

function existing(path: string): string {
  if (!existsSync(path)) throw new Error(`${path} is missing: run npm run test:install`)
  return path
}
