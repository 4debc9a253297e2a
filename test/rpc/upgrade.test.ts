// The HTTP listener: it upgrades a valid request and gives every other request the same refusal.
import { describe, expect, it } from 'vitest'
import { mac } from '../../src/rpc/handshake.ts'
import { sendRaw } from '../support/raw.ts'
import { bytesOf, FORBIDDEN, startServer, upgradeRequest } from '../support/rpc.ts'

describe('the upgrade', () => {
  it('accepts a valid request and sends the daemon’s proof', async () => {
    const { endpoint, server } = await startServer()
    const request = upgradeRequest(endpoint)
    const { text } = await sendRaw(server.port, bytesOf(request))
    const [, nonce = ''] =
      /nonce="([^"]+)"/.exec(String(request.headers.find(([name]) => name === 'Authorization'))) ?? []
    expect(text).toMatch(/^HTTP\/1\.1 101 /)
    expect(text).toContain(`CadzeroAuth-Proof: ${mac('server', endpoint, nonce)}\r\n`)
    expect(text).toContain('Sec-WebSocket-Protocol: cadzero-auth.v1\r\n')
  })

  it.each(['GET', 'POST', 'OPTIONS', 'HEAD', 'PUT', 'DELETE', 'CONNECT'])(
    'refuses a plain %s with an empty 403',
    async (method) => {
      const { server, endpoint } = await startServer()
      const target = method === 'CONNECT' ? 'evil.example:443' : '/rpc'
      const bytes = `${method} ${target} HTTP/1.1\r\nHost: ${endpoint.endpoint}\r\n\r\n`
      expect((await sendRaw(server.port, bytes)).text).toBe(FORBIDDEN)
    },
  )

  it.each([
    [
      'a header of 20 KB',
      (bytes: string) => bytes.replace('\r\n\r\n', `\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`),
      '431 Request Header Fields Too Large',
    ],
    [
      'a Content-Length beside a Transfer-Encoding',
      (bytes: string) => bytes.replace('\r\n\r\n', '\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'),
      '400 Bad Request',
    ],
    ['a bare line feed', (bytes: string) => bytes.replace('\r\nUpgrade', '\nUpgrade'), '400 Bad Request'],
    ['HTTP/1.2', (bytes: string) => bytes.replace('HTTP/1.1', 'HTTP/1.2'), '403 Forbidden'],
    ['an unknown method', (bytes: string) => bytes.replace('GET', 'get'), '403 Forbidden'],
    ['the first bytes of TLS', () => '\x16\x03\x01\x02\x00\x01\x00\x01', '403 Forbidden'],
    ['the preface of HTTP/2', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '403 Forbidden'],
  ])('refuses %s and reports it', async (_name, change, status) => {
    const refusals: string[] = []
    const { endpoint, server } = await startServer({ onRefused: (why) => refusals.push(why) })
    const { text } = await sendRaw(server.port, change(bytesOf(upgradeRequest(endpoint))))
    expect(text).toBe(FORBIDDEN.replace('403 Forbidden', status))
    expect(refusals).toEqual(['request_line'])
  })
})
