// The certificate authorities that TLS connections trust: Node's own, the system's, and those that the user or the operator adds.

import { delimiter, join } from 'node:path'
import * as tls from 'node:tls'
import { blocksOf, LARGEST_CA_FILE, readCaFile } from './ca-file.ts'
import type { Clock } from './clock.ts'
import type { FileSystem } from './files.ts'
import type { CertificateOrigin, CertificateSource } from './network-view.ts'
import { withTimeout } from './timeout.ts'

export interface Certificates {
  /** Every certificate once, each in PEM form: OpenSSL reads a text of several only up to the first damaged one. */
  readonly pem: readonly string[]
  readonly sources: readonly CertificateSource[]
}

export interface CertificateOptions {
  readonly files: FileSystem
  readonly clock: Clock
  readonly env: NodeJS.ProcessEnv
  readonly platform: NodeJS.Platform
  readonly caFile: string | undefined
}

// Where each family of distributions keeps the store that its tools build: Debian, Arch and Alpine; Fedora and RHEL; SUSE.
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/var/lib/ca-certificates/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

const SOURCE_SECONDS = 3 // a network folder that does not answer must not use up the request's time

/**
 * Reads every source. One that cannot be read, or not in time, counts as empty: what it would have made trusted, stays
 * untrusted.
 */
export async function loadCertificates(options: CertificateOptions): Promise<Certificates> {
  const { files, clock, env, caFile } = options
  const inTime = (pem: Promise<string>) => withTimeout(clock, SOURCE_SECONDS, pem, () => new Error()).catch(() => '')
  const file = async (origin: CertificateOrigin, path: string | undefined, read = readText) =>
    path ? [{ origin, path, pem: await inTime(read(files, path)) }] : []
  const folder = async (path: string) => ({
    origin: 'SSL_CERT_DIR' as const,
    path,
    pem: await inTime(readFolder(files, path)),
  })
  const folders = (env.SSL_CERT_DIR ?? '').split(delimiter).filter((one) => one !== '')
  const parts: Part[] = [
    { origin: 'node' as const, pem: tls.rootCertificates.join('\n') },
    ...(
      await Promise.all([
        file('SSL_CERT_FILE', env.SSL_CERT_FILE),
        Promise.all(folders.map(folder)),
        systemParts(options, file),
        file('NODE_EXTRA_CA_CERTS', env.NODE_EXTRA_CA_CERTS),
        file('caFile', caFile, readChecked),
      ])
    ).flat(),
  ]
  // Most of the system's authorities are Node's as well; parsing them twice would double the time.
  const unique = new Map(parts.flatMap(({ pem }) => blocksOf(pem)).map((block) => [block.replaceAll(/\s/g, ''), block]))
  return {
    pem: [...unique.values()],
    sources: parts.map(({ pem, ...source }) => ({ ...source, count: blocksOf(pem).length })),
  }
}

type Part = Omit<CertificateSource, 'count'> & { readonly pem: string }

async function systemParts(
  { platform }: CertificateOptions,
  read: (origin: 'system', path: string) => Promise<Part[]>,
): Promise<Part[]> {
  if (platform === 'win32' || platform === 'darwin') return [{ origin: 'system', pem: systemStore().join('\n') }]
  for (const path of BUNDLES) {
    const parts = await read('system', path)
    if (parts.some(({ pem }) => pem !== '')) return parts
  }
  return []
}

/** Node can read the stores of Windows and macOS since 22.15; before, `caFile` and NODE_EXTRA_CA_CERTS are the way. */
function systemStore(): readonly string[] {
  const get = 'getCACertificates' in tls ? (tls.getCACertificates as (type: 'system') => string[]) : undefined
  try {
    return get?.('system') ?? []
  } catch {
    return []
  }
}

/** Empty if it cannot be read, or is no regular file: a pipe would block. */
async function readText(files: FileSystem, path: string): Promise<string> {
  try {
    const found = await files.stat(path)
    return found.isFile() && found.size <= LARGEST_CA_FILE ? await files.readFile(path, 'latin1') : ''
  } catch {
    return ''
  }
}

/** The file that the configuration names was checked at the start; by now it may be another one. */
async function readChecked(files: FileSystem, path: string): Promise<string> {
  const found = await readCaFile(files, path)
  return typeof found === 'string' ? '' : found.pem
}

async function readFolder(files: FileSystem, folder: string): Promise<string> {
  const names = await files.readdir(folder).catch(() => [])
  const texts = await Promise.all(names.map((name) => readText(files, join(folder, name))))
  return [...new Set(texts.flatMap(blocksOf))].join('\n') // the folder has a link of another name for each certificate
}
