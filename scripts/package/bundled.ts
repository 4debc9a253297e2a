// The npm packages in the bundles, read from esbuild's own record of the files that it has put there.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BuildOptions, build } from 'esbuild'

export interface BundledPackage {
  readonly name: string
  readonly version: string
  /** An SPDX expression. */
  readonly license: string
  /** Its folder below the project. */
  readonly folder: string
}

/** Bundles in memory, without writing a file. @returns the packages, sorted by name */
export async function packagesIn(bundles: readonly BuildOptions[]): Promise<readonly BundledPackage[]> {
  const folders = new Set<string>()
  for (const bundle of bundles) {
    const { metafile } = await build<BuildOptions>({ ...bundle, outfile: 'memory.cjs', write: false, metafile: true })
    if (metafile === undefined) throw new Error('esbuild made no record of a bundle')
    for (const output of Object.values(metafile.outputs))
      for (const [path, { bytesInOutput }] of Object.entries(output.inputs)) {
        const folder = packageFolder(path)
        if (folder !== undefined && bytesInOutput > 0) folders.add(folder)
      }
  }
  const packages = await Promise.all([...folders].map(describe))
  const byId = new Map(packages.map((one) => [`${one.name} ${one.version}`, one]))
  return [...byId].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, one]) => one)
}

/** The innermost package folder of a file: a package may bring another version of its own. */
function packageFolder(path: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]
}

async function describe(folder: string): Promise<BundledPackage> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  if (![name, version, license].every((one) => typeof one === 'string'))
    throw new Error(`${folder}/package.json lacks a name, a version or a licence`)
  return { name, version, license, folder }
}
