// The esbuild options of the program, for the script and for the single executables.
import { execFileSync } from 'node:child_process'
import type { BuildOptions } from 'esbuild'

/** Packages that the daemon does not need, in files of their own: half of the program. Redis is loaded only if one is configured. */
export const OWN_FILES: Readonly<Record<string, readonly string[]>> = {
  './clerk-backend.cjs': ['@clerk/backend', '@clerk/backend/errors'],
  './broker-packages.cjs': ['cockatiel', 'prom-client', 'rate-limiter-flexible'],
  './redis.cjs': ['ioredis'],
}

/** The file of each of these packages, as esbuild takes it. */
export const alias = Object.fromEntries(
  Object.entries(OWN_FILES).flatMap(([file, packages]) => packages.map((name) => [name, file])),
)

export const options: BuildOptions = {
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  external: ['@napi-rs/keyring', ...Object.keys(OWN_FILES)], // the first is a native addon with one file per platform
  supported: { 'dynamic-import': false }, // bundled as require(): a script from the code cache has no import()
  define: { BUILT_FROM: JSON.stringify(commit()), BUILT_FROM_TIME: JSON.stringify(commitTime()) },
  minifySyntax: true,
  minifyWhitespace: true, // a third less to read at each start; identifiers stay, for stack traces
  legalComments: 'linked',
  logLevel: 'warning',
}

/** The current commit; empty if git is missing, or this folder is not the root of a repository (a copy within another). */
function commit(): string {
  const [prefix, short = ''] = git('rev-parse', '--show-prefix', '--short', 'HEAD').split('\n')
  return prefix === '' ? short : ''
}

/** When the current commit was made (RFC 3339, UTC), which unlike the time of the build keeps it reproducible; or empty. */
function commitTime(): string {
  if (commit() === '') return ''
  const seconds = Number(git('log', '-1', '--format=%ct'))
  return `${new Date(seconds * 1000).toISOString().slice(0, -5)}Z`
}

/** The output of git; empty if it fails. */
function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return ''
  }
}
