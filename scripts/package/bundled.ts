// The npm packages in the bundles, read from esbuild's own records of the files that it has put there. Some packages have others inside
// their own files. Source maps name those; their licences are in the folder vendored, since no package of npm brings them.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build } from 'esbuild'

export interface BundledPackage {
  readonly name: string
  readonly version: string
  /** An SPDX expression. */
  readonly license: string
  /** Its folder below the project, or that with its licence if it is inside another package. */
  readonly folder: string
}

/** A package inside a file of another one. */
interface Inside {
  readonly name: string
  readonly version: string | undefined
}

const VENDORED = fileURLToPath(new URL('vendored', import.meta.url))

/** Sources below node_modules that are copies of another package, and whose path has no version of it. */
const COPIES: readonly (readonly [RegExp, string])[] = [
  [/^@clerk\/shared\/src\/compiled\/path-to-regexp\//, 'path-to-regexp'],
  [/^@clerk\/backend\/src\/util\/rfc4648\.ts$/, 'rfc4648'],
]

const UNKNOWN_COPY = /\/(?:compiled|vendor|vendored|third[-_]party)\//

/** Bundles in memory, without writing a file. @returns the packages, sorted by name @throws an error if a licence is missing */
export async function packagesIn(bundles: readonly BuildOptions[]): Promise<readonly BundledPackage[]> {
  const folders = new Set<string>()
  const inside = new Map<string, Inside>()
  for (const bundle of bundles) {
    const records = { write: false, metafile: true, sourcemap: 'external', sourcesContent: false } as const
    const { metafile, outputFiles } = await build({ ...bundle, outfile: 'memory.cjs', ...records })
    for (const output of Object.values(metafile.outputs))
      for (const [path, { bytesInOutput }] of Object.entries(output.inputs)) {
        const folder = packageFolder(path)
        if (folder !== undefined && bytesInOutput > 0) folders.add(folder)
      }
    const installed = new Set(Object.keys(metafile.inputs).flatMap((path) => packageFolder(path) ?? []))
    for (const { path, text } of outputFiles)
      if (path.endsWith('.map'))
        for (const source of JSON.parse(text).sources as string[]) {
          const found = packageInside(source, installed)
          if (found !== undefined) inside.set(`${found.name} ${found.version}`, found)
        }
  }
  const packages = await Promise.all([...[...folders].map(describe), ...[...inside.values()].map(describeInside)])
  const byId = new Map(packages.map((one) => [`${one.name} ${one.version}`, one]))
  return [...byId].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, one]) => one)
}

/** The innermost package folder of a file: a package may bring another version of its own. */
function packageFolder(path: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]
}

/**
 * @param source the path of a source file as a source map names it
 * @param installed the package folders that npm has made
 * @returns the package that another one has bundled into a file of its own; its version if the path has it
 */
function packageInside(source: string, installed: ReadonlySet<string>): Inside | undefined {
  const folder = packageFolder(source)
  if (folder === undefined) return undefined
  const [, name = ''] = /node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(folder) ?? []
  if (!installed.has(folder)) {
    const [, version] = /\/\.pnpm\/[^/]+?@(\d[^/@_(]*)[^/]*\/node_modules\//.exec(source) ?? []
    return { name, version }
  }
  const path = `${name}${source.slice(folder.length)}`
  const copy = COPIES.find(([pattern]) => pattern.test(path))
  if (copy !== undefined) return { name: copy[1], version: undefined }
  if (!UNKNOWN_COPY.test(path)) return undefined
  throw new Error(`${path} may be a copy of another package: add it to scripts/package/bundled.ts, with its licence`)
}

async function describeInside({ name, version }: Inside): Promise<BundledPackage> {
  const found = await describe(join(VENDORED, name)).catch(() => undefined)
  if (found !== undefined && (version === undefined || found.version === version)) return found
  const what = version === undefined ? name : `${name} ${version}`
  throw new Error(`another package has ${what} inside: put its licence and its version into ${join(VENDORED, name)}`)
}

async function describe(folder: string): Promise<BundledPackage> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  if (![name, version, license].every((one) => typeof one === 'string'))
    throw new Error(`${folder}/package.json lacks a name, a version or a licence`)
  return { name, version, license, folder }
}
