// A provider whose TLS fails: it counts as unavailable, and receives no request.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AuthorizationServer } from '../../src/clerk/authorization-server.ts'
import { BrokerClient } from '../../src/clerk/broker-client.ts'
import { systemHost } from '../../src/host/host.ts'
import { systemRandom } from '../../src/host/random.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { newSession } from '../support/session.ts'

type Listener = ReturnType<typeof createServer> | ReturnType<typeof createHttpServer>

async function listen(server: Listener): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => undefined)))
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

/** A self-signed certificate. */
async function selfSigned(subject: string): Promise<TlsOptions> {
  const folder = await temporaryFolder()
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
  execFileSync('openssl', [...request, '-subj', `/CN=${subject}`, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  return { key: readFileSync(key), cert: readFileSync(cert) }
}

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

const received: string[] = []
const onSecure = (socket: Socket) => {
  socket.on('error', () => undefined)
  socket.on('data', (data) => received.push(data.toString('latin1')))
}

const onRequest: RequestListener = (request, response) => {
  received.push(String(request.url))
  response.end('{}')
}

/** Every request to the provider and to a broker at this address fails as unavailable, and none is received. */
async function expectUnavailable(create: () => Promise<Listener>, failure: object): Promise<void> {
  const url = `https://127.0.0.1:${await listen(await create())}`
  const clock = new TestClock()
  const network = systemHost().fetch
  const settings = { issuer: url, clientId: 'client_1', scopes: ['openid'], signInUrl: undefined }
  const server = new AuthorizationServer({ ...settings, fetch: network, clock, random: systemRandom })
  const session = newSession({ sessionId: 'sess_1' })
  const unavailable = { name: 'UnavailableError', reason: 'network', failure }
  await expect(server.refresh(session)).rejects.toMatchObject(unavailable)
  await expect(server.authorize('http://127.0.0.1:1/callback')).rejects.toMatchObject(unavailable)
  expect(await server.revoke(session)).toMatchObject({ revoked: false })
  await expect(
    new BrokerClient({ url, fetch: network, clock, random: systemRandom }).refresh(session, null),
  ).rejects.toMatchObject(unavailable)
  expect(received).toEqual([])
}

describe('a provider is unavailable and receives nothing', () => {
  it.each<[string, string, () => Promise<Listener>]>([
    ['if it speaks plain HTTP', 'protocol', async () => createHttpServer(onRequest)],
    ['if it closes the connection', 'refused', async () => createServer((socket) => void socket.destroy())],
    [
      'if it answers with garbage',
      'protocol',
      async () => createServer((socket) => void socket.end('\x16\x03\x01\x00\x07garbage')),
    ],
  ])('%s', (_name, cause, create) => expectUnavailable(create, { cause }))
})

describe.skipIf(!hasOpenssl)(
  'a provider with a certificate of its own making is unavailable and receives nothing',
  () => {
    it.each<[string, object, () => Promise<Listener>]>([
      [
        'if the certificate is self-signed',
        { cause: 'certificate', certificateIssuer: '127.0.0.1' },
        async () => createTlsServer(await selfSigned('127.0.0.1'), onSecure),
      ],
      [
        'if the certificate is for another host',
        { cause: 'certificate', certificateIssuer: 'evil.example' },
        async () => createTlsServer(await selfSigned('evil.example'), onSecure),
      ],
      [
        'if it offers only TLS 1.0 and 1.1',
        { cause: 'protocol' },
        async () =>
          createTlsServer({ ...(await selfSigned('127.0.0.1')), maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }, onSecure),
      ],
    ])('%s', (_name, failure, create) => expectUnavailable(create, failure))
  },
)
