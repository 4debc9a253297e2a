// Makes the release after this one in dist-release/test-next, for the tests of upgrades and downgrades: the same source with the next
// version, which saves sessions in format 2 and reads both. Arguments are handed to scripts/release.ts.
import { execFileSync } from 'node:child_process'
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import manifest from '../../package.json' with { type: 'json' }
import { nextVersion } from './release.ts'

const SOURCE = 'dist-release/next-source'
const LINKED = ['node_modules', 'scripts/package/.platforms']

const CHANGES: readonly { readonly file: string; readonly from: string; readonly to: string }[] = [
  { file: 'package.json', from: `"version": "${manifest.version}"`, to: `"version": "${nextVersion}"` },
  { file: 'src/store/envelope.ts', from: 'ENVELOPE_VERSION = 1', to: 'ENVELOPE_VERSION = 2' },
  {
    file: 'src/store/envelope.ts',
    from: 'version !== ENVELOPE_VERSION)',
    to: '(version !== 1 && version !== ENVELOPE_VERSION))',
  },
]

const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
  maxBuffer: 1e8,
})
await rm(SOURCE, { recursive: true, force: true })
for (const file of files.split('\0').filter((name) => /^(src|scripts)\/|^[^/]+$/.test(name))) {
  await mkdir(dirname(join(SOURCE, file)), { recursive: true })
  await cp(file, join(SOURCE, file))
}
for (const folder of LINKED) await symlink(resolve(folder), join(SOURCE, folder))
for (const { file, from, to } of CHANGES) {
  const path = join(SOURCE, file)
  const text = await readFile(path, 'utf8')
  if (text.split(from).length !== 2) throw new Error(`${file} does not have «${from}» once`)
  await writeFile(path, text.replace(from, to))
}
const OUT = resolve('dist-release/test-next')
await rm(OUT, { recursive: true, force: true }) // an interrupted one, too
const release = ['run', '--silent', 'release', '--', '--dry-run', '--out', OUT]
execFileSync('npm', [...release, ...process.argv.slice(2)], { cwd: SOURCE, stdio: 'inherit' })
await rm(SOURCE, { recursive: true })
