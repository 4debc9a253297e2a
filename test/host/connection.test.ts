// One request: directly or through a proxy, over TLS that is verified in full, and why it has failed.
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { createSecureContext, createServer as createTlsServer, type SecureContext } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sendRequest } from '../../src/host/connection.ts'
import type { FetchInit } from '../../src/host/network.ts'
import { ConnectionError } from '../../src/host/network-failure.ts'
import { type Authority, hasOpenssl, newAuthority, skippedWithoutOpenssl } from '../support/certificates.ts'
import { startProxy } from '../support/proxy.ts'

const HOST = 'clerk.example.com'

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

interface Options {
  readonly proxy?: string
  readonly secureContext?: SecureContext
  readonly init?: FetchInit
  readonly signal?: AbortSignal
}

const send = (url: string, { proxy, secureContext, init = {}, signal = AbortSignal.timeout(10_000) }: Options = {}) =>
  sendRequest(new URL(url), init, { proxy: proxy === undefined ? undefined : new URL(proxy), secureContext, signal })

/** A server that never answers. The request is given up as soon as its first bytes have arrived. */
async function startSilent() {
  const abort = new AbortController()
  const server = createServer((socket) => void socket.on('error', () => undefined).once('data', () => abort.abort()))
  return { port: await listen(server), signal: abort.signal }
}

/** The failure of a request. */
async function failure(request: Promise<Response>) {
  const error: unknown = await request.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(ConnectionError)
  const { failure, isSent } = error as ConnectionError
  return { ...failure, isSent }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

describe('a request', () => {
  const echo = () =>
    createHttpServer(async (request, response) => {
      const { method, url, headers } = request
      response.writeHead(201, { 'x-test': 'yes' })
      response.end(JSON.stringify({ method, url, headers, body: await bodyOf(request) }))
    })

  it('is sent with its method, headers and body, and the response is returned', async () => {
    const port = await listen(echo())
    const init = { method: 'POST', headers: { 'x-one': '1' }, body: new URLSearchParams({ a: 'ä&' }) }
    const response = await send(`http://127.0.0.1:${port}/path?query`, { init })
    expect(response.status).toBe(201)
    expect(response.headers.get('x-test')).toBe('yes')
    expect(await response.json()).toMatchObject({
      method: 'POST',
      url: '/path?query',
      headers: {
        host: `127.0.0.1:${port}`,
        'x-one': '1',
        'content-type': 'application/x-www-form-urlencoded;charset=UTF-8',
        'content-length': '11',
        'user-agent': 'cadzero-auth',
        connection: 'close',
      },
      body: 'a=%C3%A4%26',
    })
  })

  it.each([204, 304])('may get a response without a body, as %i', async (status) => {
    const port = await listen(createHttpServer((_, response) => void response.writeHead(status).end()))
    expect((await send(`http://127.0.0.1:${port}/`)).status).toBe(status)
  })

  it('uses a connection of its own each time', async () => {
    const ports = new Set<number | undefined>()
    const port = await listen(
      createHttpServer((request, response) => {
        ports.add(request.socket.remotePort)
        response.end()
      }),
    )
    for (let i = 0; i < 3; i++) await (await send(`http://127.0.0.1:${port}/`)).text()
    expect(ports.size).toBe(3)
  })
})

describe('a failed request names its cause', () => {
  it('refused, if nothing listens', async () => {
    const server = createServer()
    const gone = await listen(server)
    server.close()
    await once(server, 'close')
    expect(await failure(send(`http://127.0.0.1:${gone}/`))).toEqual({ cause: 'refused', isSent: false })
  })

  it('dns, if the name does not exist', async () => {
    expect(await failure(send('https://nowhere.invalid/'))).toEqual({ cause: 'dns', isSent: false })
  })

  it('timeout, if there is no response, whether the request was sent or not', async () => {
    for (const [scheme, isSent] of [
      ['http', true],
      ['https', false],
    ]) {
      const { port, signal } = await startSilent()
      expect(await failure(send(`${scheme}://127.0.0.1:${port}/`, { signal }))).toEqual({ cause: 'timeout', isSent })
    }
  })

  it.each(['garbage\r\n\r\n', ''])('protocol, if the response is %j', async (text) => {
    const port = await listen(createServer((socket) => void socket.on('error', () => undefined).end(text)))
    expect(await failure(send(`http://127.0.0.1:${port}/`))).toEqual({ cause: 'protocol', isSent: true })
  })

  it('protocol, if there is no TLS', async () => {
    const port = await listen(createHttpServer())
    expect(await failure(send(`https://127.0.0.1:${port}/`))).toMatchObject({ cause: 'protocol', isSent: false })
  })
})

describe('through a proxy', () => {
  it.each<[string, string | null, object]>([
    ['refuses', 'HTTP/1.1 403 Forbidden\r\n\r\n', { proxyProblem: 'refused' }],
    ['has no way to the host', 'HTTP/1.1 502 Bad Gateway\r\n\r\n', { proxyProblem: 'refused' }],
    ['closes the connection', null, { proxyProblem: 'unreachable' }],
    ['responds with a page of its own', 'HTTP/1.1 200 OK\r\n\r\n<html>Sign in</html>', { proxyProblem: 'no_tunnel' }],
    ['speaks no HTTP', 'garbage\r\n\r\n', { proxyProblem: 'unreachable' }],
    [
      'asks for a password',
      'HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n',
      { proxyProblem: 'password_needed' },
    ],
    [
      'refuses the password with 401',
      'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n',
      { proxyProblem: 'password_needed' },
    ],
    [
      'accepts only NTLM',
      'HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\n\r\n',
      { proxyProblem: 'integrated_authentication' },
    ],
    [
      'accepts only Kerberos',
      'HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n',
      { proxyProblem: 'integrated_authentication' },
    ],
  ])('that %s, a request fails and names the proxy', async (_name, answer, problem) => {
    const proxy = await startProxy(1, answer)
    const failed = await failure(send(`https://${HOST}/`, { proxy: proxy.url }))
    expect(failed).toEqual({ cause: 'proxy', proxyHost: '127.0.0.1', isSent: false, ...problem })
  })

  it('that cannot be reached, a request fails and names the proxy', async () => {
    const expected = { cause: 'proxy', proxyHost: 'proxy.invalid', proxyProblem: 'unreachable', isSent: false }
    expect(await failure(send(`https://${HOST}/`, { proxy: 'http://proxy.invalid:3128' }))).toEqual(expected)
  })

  it('that never answers, a request fails in time and names the proxy', async () => {
    const { port, signal } = await startSilent()
    const request = send(`https://${HOST}/`, { proxy: `http://127.0.0.1:${port}`, signal })
    expect(await failure(request)).toMatchObject({ cause: 'proxy', proxyProblem: 'unreachable' })
  })

  it('that answers for the provider, its answer is not taken for the provider’s', async () => {
    const answer = 'HTTP/1.1 400 x\r\ncontent-type: application/json\r\n\r\n{"error":"invalid_grant"}'
    const proxy = await startProxy(1, answer)
    const expected = { cause: 'proxy', proxyProblem: 'refused' }
    expect(await failure(send(`https://${HOST}/`, { proxy: proxy.url }))).toMatchObject(expected)
  })
})

describe.skipIf(!hasOpenssl)(`TLS${skippedWithoutOpenssl}`, () => {
  const newCompany = async () => {
    const authority = await newAuthority()
    return { authority, trusted: createSecureContext({ ca: authority.pem }) }
  }

  const startServer = async (authority: Authority, host: string, days?: number) => {
    const received: string[] = []
    const server = createHttpsServer(authority.issue(host, days), (request, response) => {
      received.push(String(request.headers.authorization))
      response.end('{}')
    })
    server.on('tlsClientError', () => undefined)
    return { port: await listen(server), received }
  }

  it('through a proxy is with the provider: the proxy sees the host alone', async () => {
    const { authority, trusted } = await newCompany()
    const { port, received } = await startServer(authority, HOST)
    const proxy = await startProxy(port)
    const init = { headers: { authorization: 'secret' } }
    const url = proxy.url.replace('//', '//DOMAIN%5Cperson:p%40ss@')
    const response = await send(`https://${HOST}/path`, { proxy: url, secureContext: trusted, init })
    expect(await response.text()).toBe('{}')
    expect(received).toEqual(['secret'])
    expect(proxy.requests).toEqual([
      {
        authority: `${HOST}:443`,
        headers: expect.objectContaining({
          host: `${HOST}:443`,
          'proxy-authorization': `Basic ${Buffer.from('DOMAIN\\person:p@ss').toString('base64')}`,
        }),
      },
    ])
    expect(JSON.stringify(proxy.requests)).not.toMatch(/secret|\/path/)
  })

  it('to an https proxy is verified as well', async () => {
    const { authority, trusted } = await newCompany()
    const { port } = await startServer(authority, HOST)
    const inner = await startProxy(port)
    const { key, cert } = authority.issue('127.0.0.1')
    const outer = createTlsServer({ key, cert }, (socket) => {
      const target = connect(Number(new URL(inner.url).port), '127.0.0.1')
      socket.on('error', () => target.destroy())
      target.on('error', () => socket.destroy())
      target.pipe(socket).pipe(target)
    })
    outer.on('tlsClientError', () => undefined)
    const proxy = `https://127.0.0.1:${await listen(outer)}`
    expect((await send(`https://${HOST}/`, { proxy, secureContext: trusted })).status).toBe(200)
    const untrusted = {
      cause: 'certificate',
      proxyHost: '127.0.0.1',
      certificateIssuer: 'Example Corp CA',
      isSent: false,
    }
    expect(await failure(send(`https://${HOST}/`, { proxy }))).toEqual(untrusted)
    expect(inner.requests).toHaveLength(1)
  })

  it('with an unknown authority fails and names the authority, directly and through a proxy', async () => {
    const { authority } = await newCompany()
    const { port, received } = await startServer(authority, HOST)
    const { url } = await startProxy(port)
    const untrusted = { cause: 'certificate', certificateIssuer: 'Example Corp CA', isSent: false }
    const proxied = send(`https://${HOST}/`, { proxy: url, secureContext: createSecureContext() })
    expect(await failure(proxied)).toEqual({ ...untrusted, proxyHost: '127.0.0.1' })
    const { port: direct } = await startServer(authority, '127.0.0.1')
    expect(await failure(send(`https://127.0.0.1:${direct}/`))).toEqual(untrusted)
    expect(received).toEqual([])
  })

  it.each<[string, (authority: Authority) => ReturnType<typeof startServer>, object]>([
    ['another host', (authority) => startServer(authority, 'evil.example'), { certificateProblem: 'other_host' }],
    ['a time that is over', (authority) => startServer(authority, '127.0.0.1', 0), { certificateProblem: 'expired' }],
    ['another authority of the same name', async () => startServer(await newAuthority(), '127.0.0.1'), {}],
  ])('with a certificate for %s fails although the authority is trusted', async (_name, start, problem) => {
    const { authority, trusted } = await newCompany()
    const { port, received } = await start(authority)
    const failed = await failure(send(`https://127.0.0.1:${port}/`, { secureContext: trusted }))
    expect(failed).toEqual({ cause: 'certificate', certificateIssuer: 'Example Corp CA', isSent: false, ...problem })
    expect(received).toEqual([])
  })

  it('is verified although NODE_TLS_REJECT_UNAUTHORIZED is 0', async () => {
    const { port, received } = await startServer(await newAuthority(), '127.0.0.1')
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    onTestFinished(() => void delete process.env.NODE_TLS_REJECT_UNAUTHORIZED)
    expect(await failure(send(`https://127.0.0.1:${port}/`))).toMatchObject({ cause: 'certificate' })
    expect(received).toEqual([])
  })

  it('shows the authority’s name without line breaks, and cut to a reasonable length', async () => {
    const odd = await newAuthority(`Corp\n${'x'.repeat(50)}`)
    const { port } = await startServer(odd, '127.0.0.1')
    const { certificateIssuer } = await failure(send(`https://127.0.0.1:${port}/`))
    expect(certificateIssuer).toBe(`Corp ${'x'.repeat(50)}`)
  })
})
