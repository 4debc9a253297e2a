// RFC 8414, OAuth 2.0 Authorization Server Metadata.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { checkMetadata } from '../../../src/clerk/metadata.ts'
import { temporaryFolder } from '../../support/program.ts'
import { newWorld } from '../../support/world.ts'

const hasOpenSsl = existsSync('/usr/bin/openssl')
const ISSUER = 'https://clerk.example.com'

/** Makes a self-signed certificate for a name; returns its key and the certificate. */
async function newCertificate(name: string) {
  const folder = await temporaryFolder()
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const files = ['-keyout', key, '-out', cert]
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`]
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', ...files, ...names], {
    stdio: 'ignore',
  })
  return { key: readFileSync(key), cert: readFileSync(cert) }
}

describe('RFC 8414', () => {
  it('[8414-1] accepts metadata only if its issuer is identical to the configured one', () => {
    const metadata = (issuer: string) => ({
      issuer,
      authorization_endpoint: `${ISSUER}/oauth/authorize`,
      token_endpoint: `${ISSUER}/oauth/token`,
      jwks_uri: `${ISSUER}/.well-known/jwks.json`,
      code_challenge_methods_supported: ['S256'],
    })
    expect(() => checkMetadata(metadata(ISSUER), ISSUER)).not.toThrow()
    for (const other of [`${ISSUER}/`, 'https://CLERK.example.com', `${ISSUER}:443`]) {
      expect(() => checkMetadata(metadata(other), ISSUER), other).toThrow()
    }
  })

  it.skipIf(!hasOpenSsl).each([
    ['a self-signed certificate', 'localhost', 'TLSv1.3'],
    ['a certificate for another host', 'other.example', 'TLSv1.3'],
    ['TLS 1.1', 'localhost', 'TLSv1.1'],
  ] as const)(
    `[8414-3] sends no request to a provider with %s${hasOpenSsl ? '' : ' (needs openssl)'}`,
    async (...args) => {
      const [, name, maxVersion] = args
      let requests = 0
      const options = { ...(await newCertificate(name)), minVersion: 'TLSv1' as const, maxVersion }
      const server = createServer(options, () => requests++)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      onTestFinished(() => void server.close())
      const issuer = `https://localhost:${(server.address() as { port: number }).port}`
      const { client } = await newWorld({ env: { CADZERO_AUTH_ISSUER: issuer, NODE_TLS_REJECT_UNAUTHORIZED: '0' } })
      await expect(client.call('login')).rejects.toMatchObject({ code: 1003, data: { reason: 'network' } })
      expect(requests).toBe(0)
    },
  )
})
