// The handshake: the MACs of the wire contract, and which Authorization header values are credentials.
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../src/host/random.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { authorization, mac, parseAuthorization, sameMac } from '../../src/rpc/handshake.ts'

const endpoint: Endpoint = {
  version: 1,
  pid: 1,
  endpoint: '127.0.0.1:49152',
  path: '/rpc',
  instance: 'A'.repeat(22),
  key: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8',
  startedAt: '2026-01-01T00:00:00Z',
  daemonVersion: '1.0.0',
}
const NONCE = 'AQEBAQEBAQEBAQEBAQEBAQ'

describe('the MAC', () => {
  // Made with `openssl dgst -sha256 -mac HMAC`.
  it.each([
    ['client', 'fbQp66Bev292W1IeKcW2EhalnJa_cBpMdK-xzs7AZh8'],
    ['server', 'RucGT7MzS6FinVIyuXoy8yrhajMw-TW15hOkhUfq0rs'],
  ] as const)('of the role %s is the HMAC-SHA256 of role, endpoint, instance and nonce', (role, expected) => {
    expect(mac(role, endpoint, NONCE)).toBe(expected)
  })

  it('equals no other MAC, and none of another length', () => {
    const expected = mac('client', endpoint, NONCE)
    expect(sameMac(expected, expected)).toBe(true)
    expect(sameMac(expected, mac('server', endpoint, NONCE))).toBe(false)
    expect(sameMac(expected, expected.slice(0, -1))).toBe(false)
    expect(sameMac(expected, '')).toBe(false)
  })
})

describe('the Authorization header value', () => {
  it('carries the instance, a fresh nonce and the client’s MAC', () => {
    const [first, second] = [authorization(endpoint, systemRandom), authorization(endpoint, systemRandom)]
    expect(first.nonce).not.toBe(second.nonce)
    expect(parseAuthorization(first.value)).toEqual({
      instance: endpoint.instance,
      nonce: first.nonce,
      mac: mac('client', endpoint, first.nonce),
    })
  })

  const valid = authorization(endpoint, systemRandom).value
  it.each([
    ['an empty value', ''],
    ['another scheme', valid.replace('CadzeroAuth', 'Bearer')],
    ['a scheme in lower case', valid.replace('CadzeroAuth', 'cadzeroauth')],
    ['a leading space', ` ${valid}`],
    ['a trailing space', `${valid} `],
    ['another parameter', `${valid}, extra="1"`],
    ['a missing space', valid.replace(', mac', ',mac')],
    ['a MAC that is too long', valid.replace('mac="', 'mac="A')],
    ['a nonce that is too short', valid.replace(/nonce="./, 'nonce="')],
    ['a character outside base64url', valid.replace(/instance="./, 'instance="+')],
  ])('holds no credentials if it has %s', (_name, value) => {
    expect(parseAuthorization(value)).toBeUndefined()
  })
})
