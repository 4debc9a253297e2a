// Builds the single executables into dist-bin/, with checksums, notices and a bill of materials. See docs/packaging.md.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, rmSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import manifest from '../package.json' with { type: 'json' }
import { OWN_FILES, options } from './bundle.ts'
import { fetchPackages } from './package/fetch.ts'
import { collectNotices } from './package/notices.ts'
import { type Component, createSbom } from './package/sbom.ts'
import { buildExecutable } from './package/sea.ts'
import { ADDON_VERSION, hostTarget, TARGETS, type Target } from './package/targets.ts'
import { copyWithoutConsole, removeSignature } from './package/windows.ts'
import { buildForWine } from './package/wine.ts'

const WINE = 'wine-trial' // only for tests

const { values } = parseArgs({ options: { target: { type: 'string', multiple: true }, out: { type: 'string' } } })
const wanted = values.target ?? TARGETS.map(({ name }) => name)
const unknown = wanted.filter((name) => name !== WINE && !TARGETS.some((target) => target.name === name))
if (unknown.length > 0)
  throw new Error(`no such target: ${unknown.join(', ')}; there are ${TARGETS.map(({ name }) => name).join(', ')}`)
if (ADDON_VERSION !== manifest.dependencies['@napi-rs/keyring'])
  throw new Error('scripts/package/package.json has another version of @napi-rs/keyring than package.json')

const out = resolve(values.out ?? 'dist-bin')
const work = await mkdtemp(join(tmpdir(), 'cadzero-auth-package-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true }))
await rm(out, { recursive: true, force: true })
await mkdir(out, { recursive: true })

const host = hostTarget()
const hostPackages = await fetchPackages(host)
const builder = join(hostPackages, host.node)
const main = 'main.cjs'
await build({ ...options, entryPoints: ['src/bootstrap/executable.ts'], outfile: join(work, main) })
const cache = join(work, 'program.cache')
execFileSync(builder, ['scripts/code-cache.cjs', 'dist/program.cjs', cache], { stdio: ['ignore', 'ignore', 'inherit'] })

const targets = TARGETS.filter(({ name }) => wanted.includes(name))
for (const target of targets) await buildFor(target)
if (wanted.includes(WINE)) await buildWineTrial()
await writeDocuments()

async function buildFor(target: Target): Promise<void> {
  const packages = await fetchPackages(target)
  const isWindows = target.os === 'win32'
  const output = join(out, `cadzero-auth-${manifest.version}-${target.name}${isWindows ? '.exe' : ''}`)
  const node = isWindows ? join(work, 'node.exe') : join(packages, target.node)
  if (isWindows) removeSignature(join(packages, target.node), node)
  const assets = assetsOf(join(packages, target.addon))
  // V8 rejects the code cache of another system.
  const ownCache = target === host ? { 'program.cache': cache } : {}
  await buildExecutable({ builder, node, main, assets: { ...assets, ...ownCache } }, output, work)
  await chmod(output, 0o755)
  printName(output)
  if (!isWindows) return
  const daemon = join(out, `cadzero-authd-${manifest.version}-${target.name}.exe`)
  await copyWithoutConsole(output, daemon)
  printName(daemon)
}

async function buildWineTrial(): Promise<void> {
  const windows = TARGETS.find(({ os }) => os === 'win32') as Target
  const output = join(out, `cadzero-auth-${manifest.version}-${WINE}.exe`)
  await buildForWine({ main, assets: assetsOf(join(await fetchPackages(windows), windows.addon)) }, output, work)
  printName(output)
}

function assetsOf(addon: string): Record<string, string> {
  return {
    'program.cjs': resolve('dist/program.cjs'),
    ...Object.fromEntries(Object.keys(OWN_FILES).map((file) => [basename(file), resolve('dist', file)])),
    'keyring.node': addon,
  }
}

/** Writes the bill of materials, the licences and the checksums. */
async function writeDocuments(): Promise<void> {
  const bill = createSbom(targets)
  await writeFile(join(out, 'sbom.cdx.json'), `${JSON.stringify(bill, null, 2)}\n`)
  const licences = await collectNotices({
    [`node ${host.node}`]: join(hostPackages, String(host.node.split('/')[0])),
    [host.addon]: join(hostPackages, host.addon, '..'),
    ...Object.fromEntries(
      bill.components.filter(isLibrary).map((one) => [nameOf(one), join('node_modules', one.name)]),
    ),
  })
  await writeFile(join(out, 'THIRD-PARTY-NOTICES.txt'), licences)
  const lines: string[] = []
  for (const name of (await readdir(out)).sort()) {
    const hash = createHash('sha256')
    await pipeline(createReadStream(join(out, name)), hash)
    lines.push(`${hash.digest('hex')}  ${name}\n`)
  }
  await writeFile(join(out, 'SHA256SUMS'), lines.join(''))
}

function isLibrary({ type }: Component): boolean {
  return type === 'library'
}

function nameOf({ name, version }: Component): string {
  return `${name} ${version}`
}

function printName(path: string): void {
  process.stdout.write(`${basename(path)}\n`)
}
