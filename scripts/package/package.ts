// Builds executables, and writes the bill of materials, the licences and the checksums beside them.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, relative, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { build } from 'esbuild'
import manifest from '../../package.json' with { type: 'json' }
import { BUNDLES, EXECUTABLE, HEADER, OWN_FILES, PROGRAM } from '../bundle.ts'
import { CACHES, writeCodeCaches } from '../write-code-caches.ts'
import { packagesIn } from './bundled.ts'
import { fetchBuilder, fetchTarget } from './fetch.ts'
import { signAdHoc } from './macos/signature.ts'
import { collectNotices } from './notices.ts'
import { makeEmptyFolder } from './out.ts'
import { type Builder, buildExecutable } from './pkg.ts'
import { createSbom, validateSbom } from './sbom.ts'
import { ADDON_VERSION, hostTarget, packageOf, type Target } from './targets.ts'
import { brand } from './windows/brand.mjs'
import { certificateFrom, copyWithoutConsole, copyWithoutSignature, sign } from './windows/executable.ts'

export const IDENTIFIER = 'com.cadzero.cadzero-auth'

const MAIN = 'main.cjs'
const OWN = Object.keys(OWN_FILES).map((file) => join('dist', file))

/** Replaces the folder `out`. @throws {NotReleasable} if it has other files; an error if a part is missing or does not fit */
export async function packageExecutables(targets: readonly Target[], out: string): Promise<void> {
  if (ADDON_VERSION !== manifest.dependencies['@napi-rs/keyring'])
    throw new Error('scripts/package/package.json has another version of @napi-rs/keyring than package.json')
  process.umask(0o022) // all users may read the files, whatever the umask of the build is
  const folder = resolve(out)
  await makeEmptyFolder(folder)
  const host = hostTarget()
  const builder = { node: join(await fetchTarget(host), host.node), packages: await fetchBuilder(host) }
  const work = await mkdtemp(join(tmpdir(), 'cadzero-auth-package-'))
  try {
    await build({ ...EXECUTABLE, outfile: join(work, MAIN) })
    await writeCodeCaches('dist', work, builder.node)
    for (const target of targets) {
      for (const path of await buildFor(target, builder, folder, work)) process.stdout.write(`${basename(path)}\n`)
    }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  await writeDocuments(targets, builder, folder)
  await writeChecksums(folder)
}

/** @returns the paths of the files: one, or two for Windows */
async function buildFor(target: Target, builder: Builder, out: string, work: string): Promise<readonly string[]> {
  const packages = await fetchTarget(target)
  const isWindows = target.os === 'win32'
  const output = join(out, `cadzero-auth-${manifest.version}-${target.name}${isWindows ? '.exe' : ''}`)
  const node = isWindows ? join(work, 'node.exe') : join(packages, target.node)
  if (isWindows) await copyWithoutSignature(join(packages, target.node), node)
  const assets = {
    ...Object.fromEntries([PROGRAM, HEADER, ...OWN].map((path) => [basename(path), resolve(path)])),
    'keyring.node': join(packages, target.addon),
    // V8 rejects the code cache of another system.
    ...(target === hostTarget() ? Object.fromEntries(CACHES.map((name) => [name, join(work, name)])) : {}),
  }
  await buildExecutable(builder, { target, node, main: MAIN, assets }, output, work)
  if (isWindows) await brand(output, manifest.version)
  if (target.os === 'darwin') await writeFile(output, signAdHoc(await readFile(output), IDENTIFIER, target.cpu))
  await chmod(output, 0o755)
  if (!isWindows) return [output]
  const daemon = join(out, `cadzero-authd-${manifest.version}-${target.name}.exe`)
  await copyWithoutConsole(output, daemon)
  const certificate = certificateFrom(process.env)
  if (certificate !== undefined) for (const path of [output, daemon]) await sign(path, certificate)
  return [output, daemon]
}

async function writeDocuments(targets: readonly Target[], { node }: Builder, out: string): Promise<void> {
  const bundled = await packagesIn([...BUNDLES, EXECUTABLE])
  const versions = JSON.parse(execFileSync(node, ['-p', 'JSON.stringify(process.versions)'], { encoding: 'utf8' }))
  const parts = await Promise.all(
    targets.map(async (target) => {
      const packages = await fetchTarget(target)
      const [platform, addon] = [packageOf(target.node), packageOf(target.addon)]
      return { target, platform, addon, packages }
    }),
  )
  const crates = new Map<string, string>()
  for (const { addon, packages } of parts)
    crates.set(addon, await readFile(join(packages, addon, 'LICENSE.third-party.md'), 'utf8'))
  const text = `${JSON.stringify(createSbom(bundled, { targets, versions, crates }), null, 2)}\n`
  await validateSbom(text)
  await writeFile(join(out, 'sbom.cdx.json'), text)
  const host = hostTarget()
  const folders = [
    [`node ${versions.node}`, join(await fetchTarget(host), packageOf(host.node))], // that of Windows lacks the text
    ...parts.map(({ addon, packages }) => [addon, join(packages, addon)]),
  ]
  const libraries = [...bundled, await addonPackage()].map(({ name, version, folder }) => [
    `${name} ${version}`,
    folder,
  ])
  await writeFile(
    join(out, 'THIRD-PARTY-NOTICES.txt'),
    await collectNotices(Object.fromEntries([...libraries, ...folders])),
  )
  await copyFile('dist/cadzero-auth.1', join(out, 'cadzero-auth.1'))
}

/** The package of the addon for all systems, which has the licence of the addon itself. */
async function addonPackage() {
  const folder = 'node_modules/@napi-rs/keyring'
  const { name, version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  return { name, version, folder }
}

/** Writes the checksums of all files below the folder. */
export async function writeChecksums(folder: string): Promise<void> {
  const lines: string[] = []
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const names = entries.filter((one) => one.isFile()).map((one) => relative(folder, join(one.parentPath, one.name)))
  for (const name of names.filter((one) => one !== 'SHA256SUMS').sort()) {
    lines.push(`${await digestOf(join(folder, name))}  ${name}\n`)
  }
  await writeFile(join(folder, 'SHA256SUMS'), lines.join(''))
}

/** The SHA-256 of a file, in hexadecimal. */
export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}
