// The bill of materials as CycloneDX, which npm makes from the lockfile.
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import type { Target } from './targets.ts'

export interface Component {
  readonly type: string
  readonly name: string
  readonly version: string
  readonly [field: string]: unknown
}

interface Sbom {
  readonly components: readonly Component[]
  readonly [field: string]: unknown
}

interface Locked {
  readonly version: string
  readonly integrity: string
}

const { packages } = createRequire(import.meta.url)('./package-lock.json') as { packages: Record<string, Locked> }

/** @param targets the executables whose Node it lists as well; none for the script, which runs on any Node */
export function createSbom(targets: readonly Target[] = []): Sbom {
  const text = execFileSync(
    'npm',
    ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev', '--package-lock-only', '--silent'],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], shell: process.platform === 'win32' },
  )
  const found = JSON.parse(text) as Sbom
  return { ...found, components: [...found.components, ...targets.map(nodeOf)] }
}

function nodeOf({ node }: Target): Component {
  const name = String(node.split('/')[0])
  const { version, integrity } = packages[`node_modules/${name}`] as Locked
  const content = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex')
  const purl = `pkg:npm/${name}@${version}`
  return { 'bom-ref': purl, type: 'platform', name, version, purl, hashes: [{ alg: 'SHA-512', content }] }
}
