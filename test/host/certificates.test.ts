// The certificate authorities that connections trust, and the check of the file that the configuration names.
import { X509Certificate } from 'node:crypto'
import { chmod, chown, mkdir, symlink, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { checkCaFile } from '../../src/host/ca-file.ts'
import { loadCertificates } from '../../src/host/certificates.ts'
import { systemClock } from '../../src/host/clock.ts'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

const [ONE = '', TWO = '', THREE = ''] = rootCertificates
const FOREIGN = ONE.replaceAll(/^MII/gm, 'AAA') // no certificate, but it looks like one that Node does not have

/** A computer whose only files are these. */
function filesWith(contents: Readonly<Record<string, string>>): FileSystem {
  const find = (path: string) => {
    const content = contents[path]
    if (content === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
    return content
  }
  return {
    ...systemFiles,
    stat: (async (path: string) => ({ isFile: () => true, size: find(path).length })) as unknown as FileSystem['stat'],
    readFile: (async (path: string) => find(path)) as unknown as FileSystem['readFile'],
    open: (async (path: string) => ({
      stat: async () => ({ isFile: () => true, size: find(path).length, uid: 0, mode: 0o644 }),
      readFile: async () => find(path),
      close: async () => undefined,
    })) as unknown as FileSystem['open'],
  }
}

const load = (files: FileSystem, env: NodeJS.ProcessEnv = {}, caFile?: string) =>
  loadCertificates({ files, clock: systemClock, env, platform: 'linux', caFile })

describe('the trusted authorities', () => {
  it('are Node’s own if there is nothing else', async () => {
    const { pem, sources } = await load(filesWith({}))
    expect(sources).toEqual([{ origin: 'node', count: rootCertificates.length }])
    expect(pem).toContain(ONE)
  })

  it.each([
    ['Debian', '/etc/ssl/certs/ca-certificates.crt'],
    ['Fedora', '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem'],
    ['RHEL', '/etc/pki/tls/certs/ca-bundle.crt'],
    ['SUSE', '/etc/ssl/ca-bundle.pem'],
    ['Alpine', '/etc/ssl/cert.pem'],
  ])('are those of the system on %s as well', async (_name, path) => {
    const { pem, sources } = await load(filesWith({ [path]: `# comment\n${FOREIGN}\n` }))
    expect(sources[1]).toEqual({ origin: 'system', path, count: 1 })
    expect(pem).toContain(FOREIGN)
  })

  it('are those of every variable and of the configuration as well', async () => {
    const files = filesWith({ '/a': FOREIGN, '/b': `${ONE}\n${TWO}`, '/c': THREE, '/etc/ssl/cert.pem': ONE })
    const { sources } = await load(files, { NODE_EXTRA_CA_CERTS: '/a', SSL_CERT_FILE: '/b' }, '/c')
    expect(sources.slice(1)).toEqual([
      { origin: 'SSL_CERT_FILE', path: '/b', count: 2 },
      { origin: 'system', path: '/etc/ssl/cert.pem', count: 1 },
      { origin: 'NODE_EXTRA_CA_CERTS', path: '/a', count: 1 },
      { origin: 'caFile', path: '/c', count: 1 },
    ])
  })

  it('are parsed once each', async () => {
    const { pem } = await load(filesWith({ '/a': `${ONE}\r\n${ONE}` }), { NODE_EXTRA_CA_CERTS: '/a' })
    expect(pem).toHaveLength(rootCertificates.length)
  })

  it('do not include a source that cannot be read', async () => {
    const { sources } = await load(
      filesWith({}),
      { NODE_EXTRA_CA_CERTS: '/gone', SSL_CERT_DIR: `/gone${delimiter}/too` },
      '/gone',
    )
    expect(sources.slice(1).map(({ origin, count }) => [origin, count])).toEqual([
      ['SSL_CERT_DIR', 0],
      ['SSL_CERT_DIR', 0],
      ['NODE_EXTRA_CA_CERTS', 0],
      ['caFile', 0],
    ])
  })

  it('do not include a source whose disk does not answer', async () => {
    const files = filesWith({ '/a': FOREIGN, '/etc/ssl/cert.pem': ONE })
    const stat = ((path: string) =>
      path === '/a' ? new Promise(() => undefined) : files.stat(path)) as typeof files.stat
    const clock = new TestClock()
    const env = { NODE_EXTRA_CA_CERTS: '/a' }
    const loading = loadCertificates({ files: { ...files, stat }, clock, env, platform: 'linux', caFile: undefined })
    clock.advance(3)
    expect((await loading).sources.at(-1)).toEqual({ origin: 'NODE_EXTRA_CA_CERTS', path: '/a', count: 0 })
  })

  it('are those of a folder of certificates, each once', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'one.pem'), ONE)
    await symlink('one.pem', join(folder, '12345678.0'))
    await writeFile(join(folder, 'README'), 'no certificate')
    await mkdir(join(folder, 'folder'))
    const { sources } = await load(systemFiles, { SSL_CERT_DIR: folder })
    expect(sources).toContainEqual({ origin: 'SSL_CERT_DIR', path: folder, count: 1 })
  })
})

describe('the file that the configuration names', () => {
  const write = async (content: string, mode = 0o644) => {
    const path = join(await temporaryFolder(), 'ca.pem')
    await writeFile(path, content)
    await chmod(path, mode)
    return path
  }

  it.each([0o600, 0o644, 0o444])('is accepted with the mode %o', async (mode) => {
    expect(await checkCaFile(systemFiles, await write(`${ONE}\n${TWO}\n`, mode))).toBeUndefined()
  })

  it('is accepted as one certificate in DER form, as Windows exports it', async () => {
    const path = join(await temporaryFolder(), 'ca.cer')
    await writeFile(path, new X509Certificate(ONE).raw, { mode: 0o644 })
    expect(await checkCaFile(systemFiles, path)).toBeUndefined()
    const { pem, sources } = await load(systemFiles, {}, path)
    expect(sources.at(-1)).toEqual({ origin: 'caFile', path, count: 1 })
    expect(pem.some((one) => new X509Certificate(one).fingerprint256 === new X509Certificate(ONE).fingerprint256)).toBe(
      true,
    )
  })

  it.each(['', 'no certificate', FOREIGN, `${ONE}\n${FOREIGN}`])(
    'is refused without a valid certificate',
    async (content) => {
      expect(await checkCaFile(systemFiles, await write(content))).toBe('no_certificate')
    },
  )

  it.skipIf(isWindows).each([0o664, 0o646, 0o777])(
    `is refused if others can write it, as with the mode %o${needs('file modes')}`,
    async (mode) => {
      expect(await checkCaFile(systemFiles, await write(ONE, mode))).toBe('too_open')
    },
  )

  it.skipIf(process.getuid?.() !== 0)('is refused if it belongs to another user (needs root)', async () => {
    const path = await write(ONE)
    await chown(path, 12345, 0)
    expect(await checkCaFile(systemFiles, path)).toBe('foreign_owner')
  })

  it.skipIf(isWindows)(
    `is not trusted any more if it is exchanged after the check${needs('files of POSIX')}`,
    async () => {
      const path = await write(ONE)
      const last = async () => (await load(systemFiles, {}, path)).sources.at(-1)
      expect(await last()).toEqual({ origin: 'caFile', path, count: 1 })
      await chmod(path, 0o666)
      expect(await last()).toEqual({ origin: 'caFile', path, count: 0 })
    },
  )

  it('is refused if it is missing, or a folder', async () => {
    const folder = await temporaryFolder()
    expect(await checkCaFile(systemFiles, join(folder, 'gone'))).toBe('missing')
    expect(await checkCaFile(systemFiles, folder)).toBe('not_regular')
  })
})
