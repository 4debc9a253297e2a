// Builds dist/: the program as one CommonJS file (Node loads that faster), its launcher, its code caches, its man page and the broker.
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { build } from 'esbuild'
import { BUNDLES, LAUNCHER } from './bundle.ts'
import { manPage } from './man.ts'
import { writeCodeCaches } from './write-code-caches.ts'

try {
  await rm('dist', { recursive: true, force: true })
  await mkdir('dist')
} catch (error) {
  const { code = 'unknown' } = error as NodeJS.ErrnoException
  process.stderr.write(`error: the folder dist cannot be written here: ${code}\n`)
  process.stderr.write('hint: clone the repository into a folder of your own, and try again there\n')
  process.exit(1)
}
for (const bundle of BUNDLES) await build(bundle)
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'scripts/broker-types.json'], {
  stdio: 'inherit',
})
await chmod(LAUNCHER, 0o755)
await writeFile('dist/cadzero-auth.1', manPage())
// A program without one of its defences may not start a daemon, which the code caches need.
if (!process.argv.includes('--without-caches')) await writeCodeCaches('dist', 'dist', process.execPath)
