// The bill of materials as CycloneDX: the packages in the bundles, and for executables their Node and their keyring addon.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Spec, Validation } from '@cyclonedx/cyclonedx-library'
import manifest from '../../package.json' with { type: 'json' }
import type { BundledPackage } from './bundled.ts'
import { packageOf, type Target } from './targets.ts'

export interface Component {
  readonly 'bom-ref': string
  readonly type: 'application' | 'library' | 'platform'
  readonly name: string
  readonly version: string
  readonly purl?: string
  readonly licenses?: readonly { readonly expression: string }[]
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[]
  readonly components?: readonly Component[]
}

export interface Sbom {
  readonly bomFormat: 'CycloneDX'
  readonly specVersion: '1.6'
  readonly version: 1
  readonly metadata: { readonly component: Component }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn?: readonly string[] }[]
}

/** What executables contain beside the bundles. */
export interface Platform {
  readonly targets: readonly Target[]
  /** The libraries in Node: `process.versions` of the Node in question. */
  readonly versions: Readonly<Record<string, string>>
  /** The list of Rust crates that each addon's package brings, as Markdown. */
  readonly crates: ReadonlyMap<string, string>
}

interface Locked {
  readonly version: string
  readonly integrity?: string
}

const lockOf = (path: string) =>
  JSON.parse(readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8')).packages as Record<string, Locked>
const projectLock = lockOf('../../package-lock.json')
const platformLock = lockOf('package-lock.json')

/**
 * The same input gives the same bytes: no time, and no random serial number.
 * @param platform undefined for the script, which runs on any Node and loads the addon that npm has installed
 */
export function createSbom(bundled: readonly BundledPackage[], platform?: Platform): Sbom {
  const root = component('application', manifest.name, manifest.version)
  const libraries = bundled.map((one) =>
    component('library', one.name, one.version, one.license, projectLock[keyOf(one.folder)]),
  )
  const parts = platform === undefined ? [installedAddon()] : platform.targets.flatMap((one) => partsOf(one, platform))
  const components = [...libraries, ...parts]
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: root },
    components,
    dependencies: [
      { ref: root['bom-ref'], dependsOn: components.map((one) => one['bom-ref']) },
      ...components.map((one) => ({ ref: one['bom-ref'] })),
    ],
  }
}

/** @throws an error if the text does not follow CycloneDX's schema */
export async function validateSbom(text: string): Promise<void> {
  const found = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(text)
  if (found !== null) throw new Error(`the bill of materials does not follow the schema: ${JSON.stringify(found)}`)
}

function installedAddon(): Component {
  const name = '@napi-rs/keyring'
  const locked = projectLock[`node_modules/${name}`] as Locked
  return component('library', name, locked.version, 'MIT', locked)
}

function partsOf(target: Target, { versions, crates }: Platform): readonly Component[] {
  const [node, addon] = [target.node, target.addon].map((path) => {
    const name = packageOf(path)
    const locked = platformLock[`node_modules/${name}`] as Locked
    return component(path === target.node ? 'platform' : 'library', name, locked.version, 'MIT', locked)
  }) as [Component, Component]
  const libraries = Object.entries(versions).filter(([name, version]) => !NO_LIBRARY.includes(name) && version !== '')
  const rows = [...(crates.get(addon.name) ?? '').matchAll(/^\| ([\w-]+) \| (\d\S*) \| ([^|]+) \|$/gm)]
  if (rows.length === 0) throw new Error(`${addon.name} has no list of crates`)
  return [
    {
      ...node,
      components: libraries.map(([name, version]) => nested(node, name, version)),
    },
    {
      ...addon,
      components: rows.map(([, name = '', version = '', license = '']) => ({
        ...nested(addon, name, version),
        purl: `pkg:cargo/${name}@${version}`,
        licenses: [{ expression: license.replaceAll('/', ' OR ') }],
      })),
    },
  ]
}

const NO_LIBRARY = ['node', 'modules', 'napi'] // versions of Node itself and of its interfaces

function nested({ 'bom-ref': parent }: Component, name: string, version: string) {
  return { 'bom-ref': `${parent}#${name}@${version}`, type: 'library' as const, name, version }
}

function component(
  type: Component['type'],
  name: string,
  version: string,
  license?: string,
  locked?: Locked,
): Component {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
  const [, digest] = /^sha512-(.+)$/.exec(locked?.integrity ?? '') ?? []
  const content = digest === undefined ? undefined : Buffer.from(digest, 'base64').toString('hex')
  return {
    'bom-ref': purl,
    type,
    name,
    version,
    purl,
    ...(license === undefined ? {} : { licenses: [{ expression: license }] }),
    ...(content === undefined ? {} : { hashes: [{ alg: 'SHA-512', content }] }),
  }
}

/** The key of a package in the lockfile. */
function keyOf(folder: string): string {
  return folder.slice(folder.indexOf('node_modules/'))
}
