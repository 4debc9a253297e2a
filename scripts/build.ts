// Builds the program into dist/: one small file that starts fast, and parts that are loaded when they are needed.
import { chmod, rm } from 'node:fs/promises'
import { build } from 'esbuild'

const out = 'dist'

await rm(out, { recursive: true, force: true })
await build({
  entryPoints: { 'cadzero-auth': 'src/cadzero-auth.ts' },
  outdir: out,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: ['@napi-rs/keyring'], // a native addon with a file for each platform
  banner: {
    // CommonJS packages inside an ES module bundle still ask for `require`.
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  chunkNames: 'parts/[name]-[hash]',
  minifySyntax: true,
  minifyWhitespace: true, // a third less to read at each start; names stay, for stack traces
  legalComments: 'linked',
  logLevel: 'warning',
})
await chmod(`${out}/cadzero-auth.js`, 0o755)
