// Makes everything that a release publishes, in dist-release/: npm run release -- [--dry-run] [--target NAME]… See docs/packaging.md.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import manifest from '../package.json' with { type: 'json' }
import { UPDATE_KEY_FILE } from './bundle.ts'
import { assemble } from './package/assemble.ts'
import { requireNothingUnreleased, sectionOf } from './package/changelog.ts'
import { writeManifests } from './package/manifests.ts'
import { packForNpm } from './package/npm.ts'
import { makeEmptyFolder, requireReplaceable } from './package/out.ts'
import { digestOf, packageExecutables, writeChecksums } from './package/package.ts'
import {
  endWithHint,
  keyOfPrograms,
  NotReleasable,
  PREVIOUS_KEY_FILE,
  requireBaseUrl,
  requireReleaseVersion,
  requireTime,
  requireTools,
} from './package/releasable.ts'
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

const targets = values.target === undefined ? TARGETS : targetsNamed(values.target)
const { key, changes } = await prepare().catch(endWithHint)
const baseUrl = values['base-url']?.replace(/\/+$/, '') ?? `https://releases.invalid/cadzero-auth/${version}` // RFC 6761: no such host
execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' })

const out = resolve(values.out)
const work = await mkdtemp(join(tmpdir(), 'cadzero-auth-release-'))
try {
  await makeEmptyFolder(out)
  const executables = join(work, 'executables')
  await packageExecutables(targets, executables)
  for (const name of ['THIRD-PARTY-NOTICES.txt', 'sbom.cdx.json']) await cp(join(executables, name), join(out, name))
  await packForNpm(join(out, 'THIRD-PARTY-NOTICES.txt'), out, work)
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

/** @throws {NotReleasable} if something is missing for a release */
async function prepare() {
  requireReleaseVersion(version)
  await requireReplaceable(values.out)
  const text = await readFile('CHANGELOG.md', 'utf8')
  if (dryRun && values['signing-key'] !== undefined)
    throw new NotReleasable(
      '--dry-run makes its own key: programs would install what --signing-key signs',
      'leave out one of both',
    )
  if (dryRun) {
    requireTools(targets)
    return { key: temporaryKey(), changes: sectionOf(text, undefined) }
  }
  if (git('status', '--porcelain') !== '')
    throw new NotReleasable('there are changes that are not committed', 'commit them, or use --dry-run')
  requireNothingUnreleased(text)
  if (!git('tag', '--points-at', 'HEAD').split('\n').includes(`v${version}`))
    throw new NotReleasable(`the commit has no tag v${version}`, `git tag v${version}, or use --dry-run`)
  requireTime(time)
  const expected = keyOfPrograms()
  if (values['signing-key'] === undefined)
    throw new NotReleasable('--signing-key is missing', 'add --signing-key with the path of private.pem')
  if (values['base-url'] === undefined)
    throw new NotReleasable('--base-url is missing', 'add --base-url with the address that the files will have')
  requireBaseUrl(values['base-url'])
  const key = await readSigningKey(values['signing-key']).catch((error: unknown) => {
    throw new NotReleasable(`--signing-key cannot be read: ${(error as Error).message}`, 'name the file private.pem')
  })
  if (publicKeyOf(key) !== expected)
    throw new NotReleasable(
      '--signing-key is not the key of the programs in use',
      `name the private key of ${existsSync(PREVIOUS_KEY_FILE) ? PREVIOUS_KEY_FILE : UPDATE_KEY_FILE}; to replace it, see docs/packaging.md`,
    )
  requireTools(targets)
  return { key, changes: sectionOf(text, version) }
}
