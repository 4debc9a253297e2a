// Makes the release of this commit twice, in two folders by two users, and compares all files: npm run test:reproducible -- [--target NAME]…
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import manifest from '../package.json' with { type: 'json' }
import { UPDATE_KEY_FILE } from './bundle.ts'
import { digestOf } from './package/package.ts'
import { PREVIOUS_KEY_FILE } from './package/releasable.ts'
import { publicKeyOf, temporaryKey } from './package/update.ts'
import { plainEnvironment } from './plain-environment.ts'
import { formatTable } from './table.ts'

const USER = '5003' // has no name on this computer
const AS_USER = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups']
const AUTHOR = ['-c', 'user.name=test', '-c', 'user.email=test@example.com']

/** A clone of the repository, and how a user builds there. */
interface Build {
  readonly clone: string
  readonly env: NodeJS.ProcessEnv
  /** Runs the command in its arguments. */
  readonly prefix: readonly string[]
}

const { values } = parseArgs({ options: { target: { type: 'string', multiple: true, default: [] } } })
const isRoot = process.getuid?.() === 0
if (!isRoot) process.stdout.write('one user makes both: only root can take on another\n')
const work = await mkdtemp(join(tmpdir(), 'cadzero-auth-reproduce-'))
try {
  await chmod(work, 0o711)
  const key = join(work, 'key.pem')
  const [first, second] = await prepare(key)
  const builds = [first, second].map((build) => release(build, key)) // together, so that they disturb each other
  await Promise.allSettled(builds)
  await Promise.all(builds)
  process.exitCode = (await compare(first.clone, second.clone)) ? 0 : 1
} finally {
  await rm(work, { recursive: true, force: true })
}

/** Clones this repository twice, with one more commit that has what a release needs: the public key, and no unreleased changes. */
async function prepare(keyFile: string): Promise<readonly [Build, Build]> {
  const key = temporaryKey()
  await writeFile(keyFile, key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o644 })
  await chmod(keyFile, 0o644)
  const clone = join(work, 'one')
  git('clone', '--quiet', '.', clone)
  await writeFile(join(clone, UPDATE_KEY_FILE), publicKeyOf(key))
  await rm(join(clone, PREVIOUS_KEY_FILE), { force: true })
  const changelog = join(clone, 'CHANGELOG.md')
  const heading = '## [Unreleased]\n'
  const text = await readFile(changelog, 'utf8')
  await writeFile(changelog, text.replace(heading, `${heading}\n## [${manifest.version}]\n`))
  git('-C', clone, 'add', '--all')
  git('-C', clone, ...AUTHOR, 'commit', '--quiet', '--message=release')
  git('-C', clone, 'tag', '--force', `v${manifest.version}`) // an earlier commit may be the release
  const first = { clone, env: process.env, prefix: [] }
  return [first, await prepareOther(clone)]
}

async function prepareOther(from: string): Promise<Build> {
  const home = join(work, 'home of the other')
  const clone = join(home, 'a folder with a longer name', 'two')
  const temporary = join(home, 'temporary')
  for (const folder of [dirname(clone), temporary]) await mkdir(folder, { recursive: true })
  const umask = ['sh', '-c', 'umask 077 && exec "$@"', 'sh']
  run([...umask, 'git', 'clone', '--quiet', from, clone])
  if (isRoot) run(['chown', '-R', `${USER}:${USER}`, home])
  // The settings of npm are in the home of the user, which the other has not.
  const [registry, cafile] = ['registry', 'cafile'].map((name) => run(['npm', 'config', 'get', name]))
  const network = { npm_config_registry: registry, ...(cafile === 'null' ? {} : { npm_config_cafile: cafile }) }
  const env = { ...plainEnvironment(), ...network, HOME: home, TMPDIR: temporary, LANG: 'C', TZ: 'Asia/Tokyo' }
  return { clone, env, prefix: [...(isRoot ? AS_USER : []), ...umask] }
}

/** Builds from nothing but the commit and what its lockfiles name. */
async function release({ clone, env, prefix }: Build, key: string): Promise<void> {
  const targets = values.target.flatMap((name) => ['--target', name])
  const options = ['--signing-key', key, '--base-url', `https://releases.example/${manifest.version}`, ...targets]
  for (const args of [
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--silent'],
    ['run', '--silent', 'release', '--', ...options],
  ]) {
    const [command = '', ...rest] = [...prefix, 'npm', ...args]
    const child = spawn(command, rest, { cwd: clone, env, stdio: ['ignore', 'inherit', 'inherit'] })
    const [code] = await once(child, 'exit')
    if (code !== 0) throw new Error(`npm ${args[0]} ended with ${code} in ${clone}`)
  }
}

/** Prints each file. @returns whether both have the same files with the same bytes */
async function compare(one: string, other: string): Promise<boolean> {
  const [files, others] = [await filesOf(one), await filesOf(other)]
  const names = [...new Set([...files.keys(), ...others.keys()])].sort()
  const rows = names.map((name) => {
    const file = files.get(name)
    return { name, size: file?.size, isSame: file !== undefined && file.sha256 === others.get(name)?.sha256 }
  })
  const cells = rows.map(({ name, size, isSame }) => [name, String(size ?? 'missing'), isSame ? 'same' : 'DIFFERENT'])
  process.stdout.write(`${formatTable([['file', 'bytes'], ...cells], [0, 2])}\n`)
  const different = rows.filter(({ isSame }) => !isSame)
  process.stdout.write(`${rows.length} files, ${different.length} different\n`)
  return rows.length > 0 && different.length === 0
}

async function filesOf(clone: string) {
  const folder = join(clone, 'dist-release')
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const files = paths.map(async (path) => {
    const { size } = await stat(path)
    return [relative(folder, path), { size, sha256: await digestOf(path) }] as const
  })
  return new Map(await Promise.all(files))
}

function git(...args: string[]): void {
  run(['git', ...args])
}

/** @returns the output */
function run([command = '', ...args]: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
}
