// The files of the release that the tests of this folder try: `npm run test:install` makes them.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import manifest from '../../package.json' with { type: 'json' }

const FOLDER = process.env.CADZERO_AUTH_RELEASE ?? fileURLToPath(new URL('../../dist-release/test', import.meta.url))

export const { version } = manifest

/** @throws an error if the release has no such file */
export function releaseFile(name: string): string {
  const path = join(FOLDER, name)
  if (!existsSync(path)) throw new Error(`${path} is missing: run npm run test:install`)
  return path
}
