// Builds dist/: the program as one CommonJS file (Node loads that faster), its launcher, its code cache and the broker.
import { execFileSync } from 'node:child_process'
import { chmod, rm } from 'node:fs/promises'
import { build } from 'esbuild'
import { BACKEND, options } from './bundle.ts'

const BROKER = 'dist/broker.cjs' // for a server that mounts the broker: require('cadzero-auth/broker')
const LAUNCHER = 'dist/cadzero-auth.cjs'
const PROGRAM = 'dist/program.cjs'

await rm('dist', { recursive: true, force: true })
const alias = { '@clerk/backend': BACKEND, '@clerk/backend/errors': BACKEND }
await build({ ...options, entryPoints: ['src/bootstrap/program.ts'], outfile: PROGRAM, alias })
await build({ ...options, entryPoints: ['src/broker/broker.ts'], outfile: BROKER, alias })
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'scripts/broker-types.json'], {
  stdio: 'inherit',
})
await build({
  ...options,
  stdin: { contents: "export * from '@clerk/backend'\nexport * from '@clerk/backend/errors'", resolveDir: '.' },
  outfile: `dist/${BACKEND}`,
})
await build({
  ...options,
  entryPoints: ['src/bootstrap/launcher.ts'],
  outfile: LAUNCHER,
  banner: { js: '#!/usr/bin/env node' },
})
await chmod(LAUNCHER, 0o755)
execFileSync(process.execPath, ['scripts/code-cache.cjs', PROGRAM, 'dist/program.cache'], {
  stdio: ['ignore', 'ignore', 'inherit'],
})
