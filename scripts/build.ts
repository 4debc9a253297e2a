// Builds the program into one file. CommonJS, since Node loads that faster; what a start does not need sleeps in it until used.
import { chmod, rm } from 'node:fs/promises'
import { build } from 'esbuild'

const FILE = 'dist/cadzero-auth.cjs'

await rm('dist', { recursive: true, force: true })
await build({
  entryPoints: ['src/cadzero-auth.ts'],
  outfile: FILE,
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  external: ['@napi-rs/keyring'], // a native addon with a file for each platform
  minifySyntax: true,
  minifyWhitespace: true, // a third less to read at each start; names stay, for stack traces
  legalComments: 'linked',
  logLevel: 'warning',
})
await chmod(FILE, 0o755)
