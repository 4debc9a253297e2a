// The bundles of the program, for the script and for the single executables.
import { execFileSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import type { BuildOptions } from 'esbuild'

/** Packages that the daemon does not need, in files of their own: half of the program. Redis is loaded only if one is configured. */
export const OWN_FILES: Readonly<Record<string, readonly string[]>> = {
  './clerk-backend.cjs': ['@clerk/backend', '@clerk/backend/errors', '@clerk/backend/jwt'],
  './broker-packages.cjs': ['cockatiel', 'prom-client', 'rate-limiter-flexible'],
  './redis.cjs': ['ioredis'],
}

/** The file of each of these packages, as esbuild takes it. */
const alias = Object.fromEntries(
  Object.entries(OWN_FILES).flatMap(([file, packages]) => packages.map((name) => [name, file])),
)

/** Committed once the owner has made the key, see docs/packaging.md. */
export const UPDATE_KEY_FILE = 'scripts/package/update-key.pem'

export const options = {
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  external: ['@napi-rs/keyring', ...Object.keys(OWN_FILES)], // the first is a native addon with one file per platform
  supported: { 'dynamic-import': false }, // bundled as require(): a script from the code cache has no import()
  define: {
    BUILT_FROM: JSON.stringify(commit()),
    BUILT_FROM_TIME: JSON.stringify(commitTime()),
    // Optional packages of `ws`: it would look for them in each folder above the program, at each start.
    'process.env.WS_NO_BUFFER_UTIL': '"1"',
    'process.env.WS_NO_UTF_8_VALIDATE': '"1"',
    UPDATE_KEY: JSON.stringify(updateKey()),
  },
  minifySyntax: true,
  minifyWhitespace: true, // a third less to read at each start; identifiers stay, for stack traces
  legalComments: 'linked',
  logLevel: 'warning',
} satisfies BuildOptions

const script = (entry: string, outfile: string) => ({ ...options, entryPoints: [entry], outfile, alias })

export const PROGRAM = 'dist/program.cjs'
export const HEADER = 'dist/header.cjs' // for `header` alone: a sixth of the program
export const LAUNCHER = 'dist/cadzero-auth.cjs'

/** Loaded by `ws`, a tenth of the time that `header` takes, for what it never uses. */
const UNUSED_BY_HEADER = Object.fromEntries(
  ['https', 'tls', 'zlib'].map((name) => [name, './src/bootstrap/unused-by-header.ts']),
)

/** The scripts in dist/. */
export const BUNDLES: readonly BuildOptions[] = [
  script('src/bootstrap/program.ts', PROGRAM),
  { ...script('src/bootstrap/header.ts', HEADER), alias: UNUSED_BY_HEADER },
  script('src/broker/broker.ts', 'dist/broker.cjs'), // for a server that mounts the broker: require('cadzero-auth/broker')
  { ...script('src/bootstrap/launcher.ts', LAUNCHER), banner: { js: '#!/usr/bin/env node' } },
  ...Object.entries(OWN_FILES).map(([file, packages]) => ({
    ...options,
    stdin: { contents: packages.map((name) => `export * from '${name}'`).join('\n'), resolveDir: '.' },
    outfile: `dist/${file}`,
  })),
]

/** The first script of a single executable, whose assets are the program and the files beside it. */
export const EXECUTABLE = { ...options, entryPoints: ['src/bootstrap/executable.ts'] } satisfies BuildOptions

/** The current commit, in a length that depends on no clone; empty if git is missing, or this folder is not the root of a repository (a copy within another). */
function commit(): string {
  const [prefix, short = ''] = git('rev-parse', '--show-prefix', '--short=10', 'HEAD').split('\n')
  return prefix === '' ? short : ''
}

/** When the current commit was made (RFC 3339, UTC), which unlike the time of the build keeps it reproducible; or empty. */
function commitTime(): string {
  if (commit() === '') return ''
  const seconds = Number(git('log', '-1', '--format=%ct'))
  return `${new Date(seconds * 1000).toISOString().slice(0, -5)}Z`
}

/**
 * The public key of the releases, in PEM form; empty if there is none: then the program has no update.
 * @throws an error if the file has anything else, above all the private key, which every program would then contain
 */
export function updateKey(file = UPDATE_KEY_FILE): string {
  if (!existsSync(file)) return ''
  const text = readFileSync(file, 'utf8')
  if (!/^-----BEGIN PUBLIC KEY-----\r?\n[\w+/=\r\n]+-----END PUBLIC KEY-----\s*$/.test(text))
    throw new Error(`${file} is no public key; if it is the private one, make a new pair`)
  const key = createPublicKey(text)
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${file} is no Ed25519 key`)
  return key.export({ type: 'spki', format: 'pem' }).toString()
}

/** The output of git; empty if it fails. */
function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return ''
  }
}
