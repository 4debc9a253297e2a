// Builds the program into one file. CommonJS, since Node loads that faster; what a start does not need sleeps in it until used.
import { execFileSync } from 'node:child_process'
import { chmod, rm } from 'node:fs/promises'
import { type BuildOptions, build } from 'esbuild'

const LAUNCHER = 'dist/cadzero-auth.cjs'
const PROGRAM = 'dist/program.cjs'

const options: BuildOptions = {
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  external: ['@napi-rs/keyring'], // a native addon with a file for each platform
  supported: { 'dynamic-import': false }, // require() in its place: a script from the code cache knows no import()
  minifySyntax: true,
  minifyWhitespace: true, // a third less to read at each start; names stay, for stack traces
  legalComments: 'linked',
  logLevel: 'warning',
}

await rm('dist', { recursive: true, force: true })
await build({ ...options, entryPoints: ['src/cadzero-auth.ts'], outfile: PROGRAM })
await build({ ...options, entryPoints: ['src/launch.ts'], outfile: LAUNCHER, banner: { js: '#!/usr/bin/env node' } })
await chmod(LAUNCHER, 0o755)
execFileSync(process.execPath, ['scripts/code-cache.cjs', PROGRAM, 'dist/program.cache'], {
  stdio: ['ignore', 'ignore', 'inherit'],
})
