// Certificates of a company's own authority, made with openssl.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './folder.ts'

export const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

export const skippedWithoutOpenssl = hasOpenssl ? '' : ' (skipped: needs openssl)'

const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' })
const EC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

export interface Authority {
  /** The authority's certificate, as a file and as its text. */
  readonly file: string
  readonly pem: string
  /** A server's key and certificate for a host. @param days until it expires; 0 for one that has expired */
  issue(host: string, days?: number): { readonly key: Buffer; readonly cert: Buffer }
}

export async function newAuthority(name = 'Example Corp CA'): Promise<Authority> {
  const folder = await temporaryFolder()
  const path = (file: string) => join(folder, file)
  openssl(
    'req',
    '-x509',
    ...EC_KEY,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    path('ca.key'),
    '-out',
    path('ca.pem'),
  )
  return {
    file: path('ca.pem'),
    pem: readFileSync(path('ca.pem'), 'latin1'),
    issue(host, days = 2) {
      openssl('req', ...EC_KEY, '-subj', `/CN=${host}`, '-keyout', path('server.key'), '-out', path('server.csr'))
      writeFileSync(path('extensions'), `subjectAltName=${/^[\d.]+$/.test(host) ? 'IP' : 'DNS'}:${host}\n`)
      const signed = [
        '-CA',
        path('ca.pem'),
        '-CAkey',
        path('ca.key'),
        '-CAcreateserial',
        '-extfile',
        path('extensions'),
      ]
      openssl('x509', '-req', '-in', path('server.csr'), ...signed, '-days', String(days), '-out', path('server.pem'))
      return { key: readFileSync(path('server.key')), cert: readFileSync(path('server.pem')) }
    },
  }
}
