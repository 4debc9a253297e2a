// The guard: which upgrade requests it refuses.
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../src/host/random.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { authorization, mac } from '../../src/rpc/handshake.ts'
import { sendRaw } from '../support/raw.ts'
import { bytesOf, FORBIDDEN, startServer, type UpgradeRequest, upgradeRequest } from '../support/rpc.ts'

/** Makes a valid request invalid. */
type Change = (request: UpgradeRequest, endpoint: Endpoint) => void

const set =
  (name: string, value: string): Change =>
  (request) => {
    request.headers = [...request.headers.filter(([one]) => one !== name), [name, value]]
  }
const add =
  (name: string, value: string): Change =>
  (request) => {
    request.headers.push([name, value])
  }
const drop =
  (name: string): Change =>
  (request) => {
    request.headers = request.headers.filter(([one]) => one !== name)
  }
const line =
  (requestLine: string): Change =>
  (request) => {
    request.requestLine = requestLine
  }
const host =
  (value: (port: string) => string): Change =>
  (request, endpoint) => {
    set('Host', value(String(endpoint.endpoint.split(':')[1])))(request, endpoint)
  }
const again =
  (name: string): Change =>
  (request) => {
    const [, value] = request.headers.find(([one]) => one === name) ?? []
    request.headers.push([name.toLowerCase(), String(value)])
  }
const sign =
  (change: (endpoint: Endpoint) => Endpoint): Change =>
  (request, endpoint) =>
    set('Authorization', authorization(change(endpoint), systemRandom).value)(request, endpoint)

const refused: [string, Change][] = [
  ...['https://evil.example', 'null', '', 'http://localhost:3000', 'file://', 'vscode-webview://x'].map(
    (origin): [string, Change] => [`an Origin of ${JSON.stringify(origin)}`, add('Origin', origin)],
  ),
  ['a Referer', add('Referer', 'http://127.0.0.1/')],
  ['a Cookie', add('cookie', 'a=b')],
  ['a Sec-Fetch-Site', add('Sec-Fetch-Site', 'none')],
  ['an unknown Sec-Fetch header', add('Sec-Fetch-Anything', 'x')],
  ['a Forwarded', add('Forwarded', 'for=127.0.0.1')],
  ['an X-Forwarded-For', add('X-Forwarded-For', '127.0.0.1')],
  ['a Via', add('Via', '1.1 proxy')],
  ['no Host', drop('Host')],
  ['two Hosts', again('Host')],
  ['the Host localhost', host((port) => `localhost:${port}`)],
  ['the Host evil.example', host(() => 'evil.example')],
  ['a Host name that resolves to 127.0.0.1', host((port) => `127.0.0.1.nip.io:${port}`)],
  ['the Host 0.0.0.0', host((port) => `0.0.0.0:${port}`)],
  ['the Host 127.1', host((port) => `127.1:${port}`)],
  ['the Host 2130706433', host((port) => `2130706433:${port}`)],
  ['the Host [::ffff:127.0.0.1]', host((port) => `[::ffff:127.0.0.1]:${port}`)],
  ['a Host with user information', host((port) => `a@127.0.0.1:${port}`)],
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
  ['no WebSocket key', drop('Sec-WebSocket-Key')],
  ['a WebSocket key that is too short', set('Sec-WebSocket-Key', 'YQ==')],
  ['an Upgrade to h2c', set('Upgrade', 'h2c')],
  ['no Upgrade', drop('Upgrade')],
  ['no Authorization', drop('Authorization')],
  ['a Bearer token', set('Authorization', 'Bearer abc')],
  ['a repeated Authorization', again('Authorization')],
  ['a repeated subprotocol', again('Sec-WebSocket-Protocol')],
  ['a MAC made with another key', sign((endpoint) => ({ ...endpoint, key: systemRandom(32).toString('base64url') }))],
  ['a MAC of another endpoint', sign((endpoint) => ({ ...endpoint, endpoint: '127.0.0.1:1' }))],
  ['another instance', sign((endpoint) => ({ ...endpoint, instance: systemRandom(16).toString('base64url') }))],
  [
    'the MAC of the server role',
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
    'an Origin after 100 other headers',
    (request, endpoint) => {
      for (let i = 0; i < 100; i++) add(`X-${i}`, 'x')(request, endpoint)
      add('Origin', 'x')(request, endpoint)
    },
  ],
]

describe('the guard', () => {
  it.each(refused)('refuses %s with an empty 403', async (_name, change) => {
    const { endpoint, server } = await startServer()
    const request = upgradeRequest(endpoint)
    change(request, endpoint)
    expect((await sendRaw(server.port, bytesOf(request))).text).toBe(FORBIDDEN)
  })

  it('refuses a client that connects from another loopback address', async () => {
    const { endpoint, server } = await startServer()
    const { text } = await sendRaw(server.port, bytesOf(upgradeRequest(endpoint)), '127.0.0.1', '127.0.0.2')
    expect(text).toBe(FORBIDDEN)
  })

  it.each(['', '0', '8', '12', '14', '13, 8'])('[6455-5] refuses the WebSocket version %j', async (version) => {
    const { endpoint, server } = await startServer()
    const request = upgradeRequest(endpoint)
    set('Sec-WebSocket-Version', version)(request, endpoint)
    expect((await sendRaw(server.port, bytesOf(request))).text).toBe(FORBIDDEN)
  })

  it('[B3] accepts a nonce once, and refuses it after a restart too', async () => {
    const { endpoint, server } = await startServer()
    const bytes = bytesOf(upgradeRequest(endpoint))
    expect((await sendRaw(server.port, bytes)).status).toBe(101)
    expect((await sendRaw(server.port, bytes)).text).toBe(FORBIDDEN)
    const next = await startServer()
    expect((await sendRaw(next.server.port, bytes)).text).toBe(FORBIDDEN)
  })
})
