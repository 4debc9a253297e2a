// Builds dist/: the program as one CommonJS file (Node loads that faster), its launcher, its code cache, its man page and the broker.
import { execFileSync } from 'node:child_process'
import { chmod, rm, writeFile } from 'node:fs/promises'
import { build } from 'esbuild'
import { alias, OWN_FILES, options } from './bundle.ts'
import { manPage } from './man.ts'

const BROKER = 'dist/broker.cjs' // for a server that mounts the broker: require('cadzero-auth/broker')
const LAUNCHER = 'dist/cadzero-auth.cjs'
const PROGRAM = 'dist/program.cjs'

await rm('dist', { recursive: true, force: true })
await build({ ...options, entryPoints: ['src/bootstrap/program.ts'], outfile: PROGRAM, alias })
await build({ ...options, entryPoints: ['src/broker/broker.ts'], outfile: BROKER, alias })
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'scripts/broker-types.json'], {
  stdio: 'inherit',
})
for (const [file, packages] of Object.entries(OWN_FILES)) {
  const contents = packages.map((name) => `export * from '${name}'`).join('\n')
  await build({ ...options, stdin: { contents, resolveDir: '.' }, outfile: `dist/${file}` })
}
await build({
  ...options,
  entryPoints: ['src/bootstrap/launcher.ts'],
  outfile: LAUNCHER,
  banner: { js: '#!/usr/bin/env node' },
})
await chmod(LAUNCHER, 0o755)
await writeFile('dist/cadzero-auth.1', manPage())
execFileSync(process.execPath, ['scripts/code-cache.cjs', PROGRAM, 'dist/program.cache'], {
  stdio: ['ignore', 'ignore', 'inherit'],
})
