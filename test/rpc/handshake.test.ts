// Who gets in: the right client always, and nobody else, with the same answer for every reason.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect as connectSocket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { systemRandom } from '../../src/host/random.ts'
import { connectTo } from '../../src/rpc/client.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { authorization, mac } from '../../src/rpc/handshake.ts'
import { TestClock } from '../support/clock.ts'
import { sendRaw } from '../support/raw.ts'
import { bytesOf, startServer, type UpgradeRequest, upgradeRequest } from '../support/rpc.ts'

const REFUSED = 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

type Spoil = (request: UpgradeRequest, endpoint: Endpoint) => void

const set =
  (name: string, value: string): Spoil =>
  (request) => {
    request.headers = [...request.headers.filter(([one]) => one !== name), [name, value]]
  }
const add =
  (name: string, value: string): Spoil =>
  (request) => {
    request.headers.push([name, value])
  }
const drop =
  (name: string): Spoil =>
  (request) => {
    request.headers = request.headers.filter(([one]) => one !== name)
  }
const line =
  (requestLine: string): Spoil =>
  (request) => {
    request.requestLine = requestLine
  }
const host =
  (value: (port: string) => string): Spoil =>
  (request, endpoint) => {
    set('Host', value(String(endpoint.endpoint.split(':')[1])))(request, endpoint)
  }
const again =
  (name: string): Spoil =>
  (request) => {
    const [, value] = request.headers.find(([one]) => one === name) ?? []
    request.headers.push([name.toLowerCase(), String(value)])
  }
const sign =
  (change: (endpoint: Endpoint) => Endpoint): Spoil =>
  (request, endpoint) =>
    set('Authorization', authorization(change(endpoint), systemRandom).value)(request, endpoint)

const refused: [string, Spoil][] = [
  ...['https://evil.example', 'null', '', 'http://localhost:3000', 'file://', 'vscode-webview://x'].map(
    (origin): [string, Spoil] => [`an Origin of ${JSON.stringify(origin)}`, add('Origin', origin)],
  ),
  ['a Referer', add('Referer', 'http://127.0.0.1/')],
  ['a Cookie', add('cookie', 'a=b')],
  ['a Sec-Fetch-Site', add('Sec-Fetch-Site', 'none')],
  ['a Sec-Fetch header of the future', add('Sec-Fetch-Anything', 'x')],
  ['a Forwarded', add('Forwarded', 'for=127.0.0.1')],
  ['an X-Forwarded-For', add('X-Forwarded-For', '127.0.0.1')],
  ['a Via', add('Via', '1.1 proxy')],
  ['no Host', drop('Host')],
  ['two Hosts', again('Host')],
  ['the Host localhost', host((port) => `localhost:${port}`)],
  ['the Host evil.example', host(() => 'evil.example')],
  ['a Host that resolves to us', host((port) => `127.0.0.1.nip.io:${port}`)],
  ['the Host 0.0.0.0', host((port) => `0.0.0.0:${port}`)],
  ['the Host 127.1', host((port) => `127.1:${port}`)],
  ['the Host 2130706433', host((port) => `2130706433:${port}`)],
  ['the Host [::ffff:127.0.0.1]', host((port) => `[::ffff:127.0.0.1]:${port}`)],
  ['a Host with a user', host((port) => `a@127.0.0.1:${port}`)],
  ['a Host without a port', host(() => '127.0.0.1')],
  ['a Host with another port', host(() => '127.0.0.1:1')],
  ['the method POST', line('POST /rpc HTTP/1.1')],
  ['another path', line('GET / HTTP/1.1')],
  ['a query', line('GET /rpc?a=b HTTP/1.1')],
  ['a path with dots', line('GET /x/../rpc HTTP/1.1')],
  ['an absolute target', line('GET http://evil.example/rpc HTTP/1.1')],
  ['HTTP/1.0', line('GET /rpc HTTP/1.0')],
  ['WebSocket version 8', set('Sec-WebSocket-Version', '8')],
  ['no WebSocket version', drop('Sec-WebSocket-Version')],
  ['another subprotocol', set('Sec-WebSocket-Protocol', 'chat')],
  ['two subprotocols', set('Sec-WebSocket-Protocol', 'cadzero-auth.v1, chat')],
  ['no subprotocol', drop('Sec-WebSocket-Protocol')],
  ['no key', drop('Sec-WebSocket-Key')],
  ['a key that is too short', set('Sec-WebSocket-Key', 'YQ==')],
  ['an upgrade to h2c', set('Upgrade', 'h2c')],
  ['no upgrade at all', drop('Upgrade')],
  ['no Authorization', drop('Authorization')],
  ['a Bearer token', set('Authorization', 'Bearer abc')],
  ['a repeated Authorization', again('Authorization')],
  ['a repeated subprotocol', again('Sec-WebSocket-Protocol')],
  ['a MAC by another key', sign((endpoint) => ({ ...endpoint, key: systemRandom(32).toString('base64url') }))],
  ['a MAC for another port', sign((endpoint) => ({ ...endpoint, endpoint: '127.0.0.1:1' }))],
  ['another instance', sign((endpoint) => ({ ...endpoint, instance: systemRandom(16).toString('base64url') }))],
  [
    'the server’s own MAC, sent back',
    (request, endpoint) => {
      const nonce = systemRandom(16).toString('base64url')
      const proof = mac('server', endpoint, nonce)
      set('Authorization', `CadzeroAuth instance="${endpoint.instance}", nonce="${nonce}", mac="${proof}"`)(
        request,
        endpoint,
      )
    },
  ],
  [
    '100 more headers and an Origin behind them',
    (request, endpoint) => {
      for (let i = 0; i < 100; i++) add(`X-${i}`, 'x')(request, endpoint)
      add('Origin', 'x')(request, endpoint)
    },
  ],
]

describe('the handshake', () => {
  it('lets a right request in, and proves the daemon to it', async () => {
    const { endpoint, server } = await startServer()
    const request = upgradeRequest(endpoint)
    const { text } = await sendRaw(server.port, bytesOf(request))
    const [, nonce = ''] =
      /nonce="([^"]+)"/.exec(String(request.headers.find(([name]) => name === 'Authorization'))) ?? []
    expect(text).toMatch(/^HTTP\/1\.1 101 /)
    expect(text).toContain(`CadzeroAuth-Proof: ${mac('server', endpoint, nonce)}\r\n`)
    expect(text).toContain('Sec-WebSocket-Protocol: cadzero-auth.v1\r\n')
  })

  it.each(refused)('refuses %s, saying nothing', async (_name, spoil) => {
    const { endpoint, server } = await startServer()
    const request = upgradeRequest(endpoint)
    spoil(request, endpoint)
    expect((await sendRaw(server.port, bytesOf(request))).text).toBe(REFUSED)
  })

  it.each(['GET', 'POST', 'OPTIONS', 'HEAD', 'PUT', 'DELETE', 'CONNECT'])(
    'answers a plain %s like any stranger',
    async (method) => {
      const { server, endpoint } = await startServer()
      const target = method === 'CONNECT' ? 'evil.example:443' : '/rpc'
      const bytes = `${method} ${target} HTTP/1.1\r\nHost: ${endpoint.endpoint}\r\n\r\n`
      expect((await sendRaw(server.port, bytes)).text).toBe(REFUSED)
    },
  )

  it('refuses a client that comes from another loopback address', async () => {
    const { endpoint, server } = await startServer()
    const { text } = await sendRaw(server.port, bytesOf(upgradeRequest(endpoint)), '127.0.0.1', '127.0.0.2')
    expect(text).toBe(REFUSED)
  })

  it('refuses the same bytes a second time, and after a restart', async () => {
    const { endpoint, server } = await startServer()
    const bytes = bytesOf(upgradeRequest(endpoint))
    expect((await sendRaw(server.port, bytes)).status).toBe(101)
    expect((await sendRaw(server.port, bytes)).text).toBe(REFUSED)
    const next = await startServer()
    expect((await sendRaw(next.server.port, bytes)).text).toBe(REFUSED)
  })

  it.each([
    [
      'a header of 20 KB',
      (bytes: string) => bytes.replace('\r\n\r\n', `\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`),
      '431 Request Header Fields Too Large',
    ],
    [
      'lengths that disagree',
      (bytes: string) => bytes.replace('\r\n\r\n', '\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'),
      '400 Bad Request',
    ],
    ['a bare line feed', (bytes: string) => bytes.replace('\r\nUpgrade', '\nUpgrade'), '400 Bad Request'],
    ['HTTP/1.2', (bytes: string) => bytes.replace('HTTP/1.1', 'HTTP/1.2'), '403 Forbidden'],
    ['a method of no standard', (bytes: string) => bytes.replace('GET', 'get'), '403 Forbidden'],
    ['the first bytes of TLS', () => '\x16\x03\x01\x02\x00\x01\x00\x01', '403 Forbidden'],
    ['the preface of HTTP/2', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '403 Forbidden'],
  ])('refuses %s, and says so in the log', async (_name, change, status) => {
    const refusals: string[] = []
    const { endpoint, server } = await startServer({ onRefused: (why) => refusals.push(why) })
    const { text } = await sendRaw(server.port, change(bytesOf(upgradeRequest(endpoint))))
    expect(text).toBe(REFUSED.replace('403 Forbidden', status))
    expect(refusals).toEqual(['request_line'])
  })

  it('closes a connection that says nothing, or half a request, after two seconds', async () => {
    const clock = new TestClock()
    const { endpoint, server, connect } = await startServer({ clock })
    const half = bytesOf(upgradeRequest(endpoint)).slice(0, -2)
    const strangers = ['', half].map((text) => {
      const socket = connectSocket(server.port, '127.0.0.1').resume()
      socket.write(text)
      return socket
    })
    const closed = strangers.map((stranger) => once(stranger, 'close'))
    await connect() // behind them: they have been let in
    clock.advance(1.5)
    await connect()
    expect(strangers.some(({ destroyed }) => destroyed)).toBe(false)
    clock.advance(0.5)
    await Promise.all(closed)
  })

  it('keeps 256 strangers at the most: the oldest goes first, long before its time', async () => {
    const clock = new TestClock()
    const { server, connect } = await startServer({ clock })
    const strangers = Array.from({ length: 257 }, () => connectSocket(server.port, '127.0.0.1').resume())
    await Promise.race(strangers.map((stranger) => once(stranger, 'close')))
    await expect.poll(() => strangers.filter(({ destroyed }) => destroyed).length).toBe(1)
    expect((await connect()).endpoint.endpoint).toBe(`127.0.0.1:${server.port}`)
    for (const stranger of strangers) stranger.destroy()
  })

  it('still serves its owner while a stranger holds a thousand connections', async () => {
    const { server, connect } = await startServer()
    const strangers = Array.from({ length: 1000 }, () =>
      connectSocket(server.port, '127.0.0.1').on('error', () => undefined),
    )
    const client = await connect()
    expect(client.endpoint.endpoint).toBe(`127.0.0.1:${server.port}`)
    for (const stranger of strangers) stranger.destroy()
  })
})

describe('the client', () => {
  it('sends nothing to a program that has the port of a daemon that is gone', async () => {
    const received: string[] = []
    const squatter = createServer()
    squatter.on('upgrade', (request, socket) => {
      received.push(JSON.stringify(request.rawHeaders))
      socket.on('data', (data: Buffer) => received.push(data.toString('latin1')))
      // It takes the upgrade as well as can be, but cannot know the key.
      const sockets = new WebSocketServer({ noServer: true })
      sockets.on('headers', (headers) => headers.push(`CadzeroAuth-Proof: ${'A'.repeat(43)}`))
      sockets.handleUpgrade(request, socket, Buffer.alloc(0), () => undefined)
    })
    await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve))
    const { endpoint } = await startServer()
    const { port } = squatter.address() as { port: number }
    const stale = { ...endpoint, endpoint: `127.0.0.1:${port}` }
    await expect(connectTo(stale, systemRandom)).rejects.toMatchObject({ name: 'NoDaemonError', reason: 'not_genuine' })
    expect(received.join('')).not.toContain(endpoint.key)
    squatter.closeAllConnections()
    squatter.close()
  })
})
