// Makes everything that a release publishes, in dist-release/: npm run release -- [--dry-run] [--target NAME]… See docs/packaging.md.
import { execFileSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import manifest from '../package.json' with { type: 'json' }
import { UPDATE_KEY_FILE, updateKey } from './bundle.ts'
import { assemble } from './package/assemble.ts'
import { sectionOf } from './package/changelog.ts'
import { writeManifests } from './package/manifests.ts'
import { digestOf, packageExecutables, writeChecksums } from './package/package.ts'
import { TARGETS, targetsNamed } from './package/targets.ts'
import {
  publicKeyOf,
  readSigningKey,
  signUpdate,
  temporaryKey,
  type UpdateProgram,
  updateText,
} from './package/update.ts'
import { compressPrograms } from './package/update-programs.ts'

const { values } = parseArgs({
  options: {
    'dry-run': { type: 'boolean', default: false },
    target: { type: 'string', multiple: true },
    out: { type: 'string', default: 'dist-release' },
    'base-url': { type: 'string' },
    'signing-key': { type: 'string' },
  },
})
const { version } = manifest
const dryRun = values['dry-run']
const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()
const time = Number(git('log', '-1', '--format=%ct'))
const say = (path: string) =>
  void process.stdout.write(`${Math.round(performance.now() / 1000)} s  ${basename(path)}\n`)

if (dryRun && values['signing-key'] !== undefined)
  throw new Error('--dry-run makes its own key: programs would install what --signing-key signs')
const targets = values.target === undefined ? TARGETS : targetsNamed(values.target)
const key = values['signing-key'] === undefined ? temporaryKey() : await readSigningKey(values['signing-key'])
if (!dryRun) refuseUnlessReleasable()
const baseUrl = values['base-url'] ?? `https://releases.invalid/cadzero-auth/${version}` // RFC 6761: no such host
const changes = sectionOf(await readFile('CHANGELOG.md', 'utf8'), dryRun ? undefined : version)

const out = resolve(values.out)
const work = await mkdtemp(join(tmpdir(), 'cadzero-auth-release-'))
try {
  await rm(out, { recursive: true, force: true })
  await mkdir(out, { recursive: true })
  const executables = join(work, 'executables')
  await packageExecutables(targets, executables)
  for (const name of ['THIRD-PARTY-NOTICES.txt', 'sbom.cdx.json']) await cp(join(executables, name), join(out, name))
  execFileSync('npm', ['pack', '--silent', '--pack-destination', out], { stdio: ['ignore', 'ignore', 'inherit'] })
  await assemble({ folder: executables, version, time }, targets, out, work, say)
  await writeFile(join(out, 'CHANGES.md'), changes)
  await describe(await compressPrograms(executables, version, targets, out))
} finally {
  await rm(work, { recursive: true, force: true })
}
if (dryRun) process.stdout.write('a dry run: update.json is signed with a key that no program trusts\n')

/** Writes update.json, its signature, the manifests of the package managers and the checksums. */
async function describe(programs: ReadonlyMap<string, UpdateProgram>): Promise<void> {
  const names = (await readdir(out)).filter((name) => name.startsWith('cadzero-auth'))
  const files = await Promise.all(
    names.sort().map(async (name) => {
      const path = join(out, name)
      const program = programs.get(name)
      const { size } = await stat(path)
      return { name, size, sha256: await digestOf(path), ...(program === undefined ? {} : { program }) }
    }),
  )
  const text = updateText({ version, sequence: time, files })
  await writeFile(join(out, 'update.json'), text)
  await writeFile(join(out, 'update.json.sig'), signUpdate(text, key))
  await writeFile(join(out, 'update-key.pem'), publicKeyOf(key))
  if (targets.length === TARGETS.length) await writeManifests({ version, baseUrl, files }, join(out, 'manifests'))
  await writeChecksums(out)
}

/** @throws an error that says what is missing for a release */
function refuseUnlessReleasable(): void {
  if (git('status', '--porcelain') !== '') throw new Error('there are changes that are not committed')
  if (git('tag', '--points-at', 'HEAD') !== `v${version}`) throw new Error(`the commit has no tag v${version}`)
  if (values['signing-key'] === undefined) throw new Error('--signing-key is missing')
  if (updateKey() !== publicKeyOf(key)) throw new Error(`${UPDATE_KEY_FILE} is not the key of --signing-key`)
  if (values['base-url'] === undefined) throw new Error('--base-url is missing')
}
